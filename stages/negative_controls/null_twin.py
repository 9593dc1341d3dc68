"""The null twin of Plan 1B: one copy of each cell of the grid under permuted labels, which has to score at chance.

The labels are permuted once within strata, and whatever sees the label sees the permuted one: the folds, the classifier
and, where the label chooses genes, the genes and what is fitted to them. Out of fold such labels are told apart by
chance only, unless a label reached what was fitted before the folds were drawn; the same leak then flatters the
observed scores. One repeat of the cross-validation is enough to see it.

Scored is the AUC over pairs of cells of one stratum, where chance is 0.5 whatever the strata's shares of classes. One
copy averages nothing away, so no choice may flatter it: each patient is scored at the strength that the other patients
choose, which knows nothing of the patient's own labels. A single patient is scored at the middle of the strengths.
Plan 1C's twin is `benchmark_twin`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stagewright.stages.classify.choice import choose_alpha
from stagewright.stages.classify.fold_prediction import predict_left_out
from stagewright.stages.classify.metrics import probability
from stagewright.stages.negative_controls.auc_within import auc_within
from stagewright.stages.negative_controls.twin_cohort import permuted_counts, twin_cohort
from stagewright.stages.plan1_embeddings import EmbeddedCohort
from stagewright.stages.plan1_folds import folds_of_patient, split_patients
from stagewright.stages.plan1_grid import CellResult, ScoredCell, unit_of_cell
from stagewright.stages.plan1_inputs import cell_inputs
from stagewright.stages.plan1_tables import PatientCells, SummaryRow, l1_ratio_of, patients_of
from stagewright.stages.protocol import StageContext, Unit, UnitFailed
from stagewright.stages.refit.cohort_once import CohortOnce
from stagewright.stages.refit.predictions import RefittedPredictions
from stagewright.stages.refit.refit_folds import refitted_predictions
from stagewright.state.layout import TWIN, permuted_cell
from stagewright.state.step_units import cell_unit, permuted_unit, twin_study

__all__ = ["TwinPatient", "chosen_by_others", "null_twin", "out_of_fold_once"]

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TwinPatient:
    """One patient under permuted labels.

    Attributes
    ----------
    folds
        Fold of each cell, shape (n,).
    decision
        Out-of-fold logits, shape (n, m).
    auc
        Over pairs of cells of one stratum, at each strength, shape (m,); NaN where no stratum has both classes.
    """

    patient: PatientCells
    folds: NDArray[np.int64]
    decision: _Floats
    auc: _Floats


def null_twin(context: StageContext, counts: CohortOnce, cohort: EmbeddedCohort) -> list[SummaryRow]:
    """Score every method of one preprocess under labels permuted once, each a unit of work.

    Parameters
    ----------
    counts
        The same cells with their counts, for genes that the label chooses and for CV scope `pipeline`.
    cohort
        The cells with their observed labels.

    Returns
    -------
    A row for each method and penalty: the median over patients of the AUC within strata, NaN where nothing can be
    permuted. None for a method that failed for good, where the spec allows that.

    Raises
    ------
    UnitFailed
        When a gene selection fails, or more units than the spec allows.
    ValueError
        When the counts are of other cells.
    """
    request = context.request
    twin = twin_cohort(context, counts, cohort)
    permuted, also = twin.embedded, twin.inputs
    predicted: Mapping[str, RefittedPredictions] | None = None
    if request.study.scope == "pipeline":
        cells = permuted_counts(counts, permuted)
        predicted = refitted_predictions(context, twin.entry, permuted, cells, permutation=TWIN, also=also, repeats=1)
    rows: list[SummaryRow] = []
    for method in permuted.scores if predicted is None else predicted:
        found = None if predicted is None else predicted[method]
        name = permuted_unit(TWIN, cell_unit("plan1b", cohort.tag, method))
        digest = None if found is None else found.digest
        try:
            result = unit_of_cell(
                context,
                Unit(name, method=method, preprocess=cohort.tag),
                cell_inputs("twin", request, permuted, method, {**also, "repeats": 1, "predictions": digest}),
                permuted_cell(request.checkpoint, TWIN, "plan1b", cohort.tag, method),
                partial(_score, stratum=twin.stratum, predicted=found),
                permuted,
            )
        except UnitFailed as failed:
            context.tolerate(failed)
            continue
        rows += result.summary
    return rows


def _score(
    context: StageContext,
    cohort: EmbeddedCohort,
    method: str,
    *,
    stratum: NDArray[np.int64],
    predicted: RefittedPredictions | None,
) -> ScoredCell:
    """Cross-validate one embedding under permuted labels, once."""
    request, study = context.request, twin_study(context.request.study, "plan1b")
    executor, alphas = context.executor, np.asarray(study.alphas)
    patients = patients_of(cohort, request.scope.patient, study.group)
    kept, skipped, notes = split_patients(patients, study, f"{cohort.tag}/{method}")
    embedding = cohort.scores[method].astype(np.float64)
    shared = executor.share(embedding, np.asarray, a=embedding)
    rows: list[SummaryRow] = []
    predictions, curves = [], []
    try:
        for penalty in study.penalties:

            def score(item: tuple[PatientCells, int], penalty: str = penalty) -> TwinPatient:
                patient, n_folds = item
                folds = folds_of_patient(patient, n_folds, 1)[0]
                if predicted is None:
                    ratio = l1_ratio_of(study, penalty)
                    decision = executor.call(out_of_fold_once, shared, patient, folds, alphas, ratio)
                else:
                    found = predicted.by_patient[penalty, patient.name]
                    decision = np.empty((folds.size, alphas.size))
                    for (_, fold), one in found.items():
                        decision[folds == fold] = one.decision
                auc = auc_within(decision, patient.positive, stratum[patient.rows])
                return TwinPatient(patient, folds, decision, auc)

            scored = context.map(score, kept, rounds=len(study.penalties))
            places = chosen_by_others([item.auc for item in scored], alphas)
            aucs = [item.auc[at] for item, at in zip(scored, places, strict=True) if not np.isnan(item.auc).any()]
            rows.append(
                {
                    "preprocess": cohort.tag,
                    "supervised": cohort.supervised,
                    "method": method,
                    "k": int(embedding.shape[1]),
                    "penalty": penalty,
                    "n_patients": len(aucs),
                    "auc_within_strata_median": float(np.median(aucs)) if aucs else float("nan"),
                }
            )
            for item, at in zip(scored, places, strict=True):
                curves.append(_curve(item, penalty, alphas))
                predictions.append(_predictions(item, penalty, at, alphas, cohort.obs.index))
    finally:
        shared.forget()
    tables = {
        "auc_by_alpha.csv": pd.concat(curves, ignore_index=True),
        "oof_predictions.parquet": pd.concat(predictions, ignore_index=True),
    }
    return ScoredCell(CellResult(rows, skipped, notes), tables)


def out_of_fold_once(
    embedding: _Floats, patient: PatientCells, folds: NDArray[np.int64], alphas: _Floats, l1_ratio: float
) -> _Floats:
    """Return the out-of-fold logits of one patient's cells in one repeat, shape (n, m), as Plan 1B makes them."""
    features, decision = embedding[patient.rows], np.empty((folds.size, alphas.size))
    for fold in range(int(folds.max()) + 1):
        test = folds == fold
        (predicted,) = predict_left_out(features, patient.positive, ~test, test, alphas, [l1_ratio])
        decision[test] = predicted.decision
    return decision


def chosen_by_others(aucs: Sequence[_Floats], alphas: _Floats) -> list[int]:
    """Return for each patient the place of the strength with the highest median AUC over the other patients.

    Among equals it is the largest strength. Without others, the middle of the strengths.

    Parameters
    ----------
    aucs
        Of each patient, shape (m,); a patient with NaN chooses for nobody.
    """
    known = [not np.isnan(auc).any() for auc in aucs]
    places = []
    for patient in range(len(aucs)):
        others = [auc for number, auc in enumerate(aucs) if known[number] and number != patient]
        middle = int(np.argsort(alphas)[alphas.size // 2])
        places.append(choose_alpha([np.median(others, axis=0)], alphas) if others else middle)
    return places


def _curve(item: TwinPatient, penalty: str, alphas: _Floats) -> pd.DataFrame:
    named = {"patient": item.patient.name, "penalty": penalty, "alpha": alphas}
    return pd.DataFrame(named | {"auc_within_strata": item.auc})


def _predictions(item: TwinPatient, penalty: str, at: int, alphas: _Floats, cells: pd.Index) -> pd.DataFrame:
    decision = item.decision[:, at]
    return pd.DataFrame(
        {
            "patient": item.patient.name,
            "cell": cells[item.patient.rows].to_numpy(dtype=object),
            "penalty": penalty,
            "alpha": alphas[at],
            "repeat": np.int32(0),
            "fold": item.folds.astype(np.int32),
            "label": item.patient.positive,
            "decision": decision,
            "probability": probability(decision),
        }
    )
