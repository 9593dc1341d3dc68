"""The null twin of Plan 1C: one copy of each model under permuted labels, which has to score at chance.

As in Plan 1B (`null_twin`) whatever sees the label sees the permuted one: the folds, the draws of training cells, the
classifier and, where the label chooses genes, the genes and what is fitted to them. Scored are all modes, downsamplings
and penalties, patient by patient, over pairs of cells of one stratum, where chance is 0.5.

It takes one repeat at one strength (`step_units.twin_study`). Models of pooled cells saw the labels of several
patients, so that a strength which the others choose would know something of a patient's own; a fixed one flatters
nobody.
"""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from stagewright.stages.negative_controls.auc_within import auc_within
from stagewright.stages.negative_controls.twin_cohort import twin_cohort
from stagewright.stages.plan1_embeddings import EmbeddedCohort
from stagewright.stages.plan1_grid import CellResult, ScoredCell, unit_of_cell
from stagewright.stages.plan1_inputs import cell_inputs
from stagewright.stages.plan1_tables import SummaryRow
from stagewright.stages.plan1c_cell import scored_models
from stagewright.stages.plan1c_scores import Scored
from stagewright.stages.plan1c_tables import prediction_rows
from stagewright.stages.protocol import StageContext, Unit, UnitFailed
from stagewright.stages.refit.cohort_once import CohortOnce
from stagewright.state.layout import TWIN, permuted_cell
from stagewright.state.plan1c_models import Model, models_of
from stagewright.state.step_units import cell_unit, permuted_unit, twin_study

__all__ = ["benchmark_twin", "patient_aucs"]


def benchmark_twin(context: StageContext, counts: CohortOnce, observed: EmbeddedCohort) -> list[SummaryRow]:
    """Score every model on every embedding of one preprocess under labels permuted once, each embedding a unit of work.

    Parameters
    ----------
    counts
        The same cells with their counts, for genes that the label chooses.
    observed
        The cells with their observed labels.

    Returns
    -------
    A row for each method and model: the median over patients of the AUC within strata, NaN where nothing can be
    permuted or no patient be scored. None for a method that failed for good, where the spec allows that.

    Raises
    ------
    UnitFailed
        When a gene selection fails, or more units than the spec allows.
    ValueError
        When the counts are of other cells.
    """
    request = context.request
    twin = twin_cohort(context, counts, observed)
    asked = request.model_copy(update={"study": twin_study(request.study, request.stage)})
    rows: list[SummaryRow] = []
    for method in twin.embedded.scores:
        name = permuted_unit(TWIN, cell_unit(request.stage, observed.tag, method))
        try:
            result = unit_of_cell(
                context,
                Unit(name, method=method, preprocess=observed.tag),
                cell_inputs("benchmark_twin", asked, twin.embedded, method, twin.inputs),
                permuted_cell(request.checkpoint, TWIN, request.stage, observed.tag, method),
                partial(_score, stratum=twin.stratum),
                twin.embedded,
            )
        except UnitFailed as failed:
            context.tolerate(failed)
            continue
        rows += result.summary
    return rows


def _score(context: StageContext, cohort: EmbeddedCohort, method: str, *, stratum: NDArray[np.int64]) -> ScoredCell:
    """Cross-validate the models on one embedding under permuted labels, once and at one strength."""
    study = twin_study(context.request.study, context.request.stage)
    found = scored_models(context, cohort, method, study)
    of_model = {item.model: patient_aucs(item, stratum) for item in found.scored}
    rows = [_row(cohort, method, model, of_model.get(model, {})) for model in models_of(study)]
    predictions = prediction_rows(found.scored, cohort, context.request.scope.patient)
    skipped = [item for items in found.skipped.values() for item in items]
    return ScoredCell(CellResult(rows, skipped, [*found.notes]), {"oof_predictions.parquet": predictions})


def patient_aucs(scored: Scored, stratum: NDArray[np.int64]) -> dict[str, float]:
    """Return the AUC within strata of each patient, in the first repeat; without patients that have no such pair.

    Parameters
    ----------
    stratum
        Of each cell of the cohort, shape (n_cells,).
    """
    aucs: dict[str, float] = {}
    for predicted in scored.predicted:
        for patient, rows in predicted.part.scored:
            decision = predicted.decision[0, rows][:, None]
            aucs[patient.name] = float(auc_within(decision, patient.positive, stratum[patient.rows])[0])
    return {name: auc for name, auc in aucs.items() if not np.isnan(auc)}


def _row(cohort: EmbeddedCohort, method: str, model: Model, aucs: dict[str, float]) -> SummaryRow:
    return {
        "preprocess": cohort.tag,
        "supervised": cohort.supervised,
        "method": method,
        "k": int(cohort.scores[method].shape[1]),
        "mode": model.mode,
        "downsampling": model.downsampling,
        "penalty": model.penalty,
        "n_patients": len(aucs),
        "auc_within_strata_median": float(np.median([*aucs.values()])) if aucs else float("nan"),
    }
