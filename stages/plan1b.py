"""Plan 1B: the preprocess x method grid at the chosen K, with logistic paths per patient and repeated cross-validation.

Within each patient cells are split into stratified folds, again for each repeat, and the same folds serve every
configuration. With `cv.group` the cells of a group (a sample, a clone) stay in one fold. A configuration has one
penalty strength for all patients: the one with the highest median over patients of the mean AUC over repeats. It is
chosen on the scores that it is reported with, which flatters it a little; the tables hold every strength, and in
`auc_choice_left_out_median` each patient is scored at the strength that the other patients choose. A preprocess that
chose its genes by the label is scored, and never the best: its scores are flattered by the choice, which saw the test
folds. Beside each configuration its null twin is scored, under permuted labels (`negative_controls.null_twin`), and at
some checkpoints the whole grid is searched again under many labellings (`search_permutation`).
"""

from collections.abc import Mapping
from functools import partial

import numpy as np
import pandas as pd

from stagewright.stages.baselines import baseline_columns, baselines, scored_patients
from stagewright.stages.classify.fold_prediction import FoldPrediction
from stagewright.stages.classify.path_cross_validated import (
    CrossValidatedPath,
    measured_path,
)
from stagewright.stages.classify.path_in_sample import path_without_cv
from stagewright.stages.decoy import technical_decoy
from stagewright.stages.executors.executor import SharedValue
from stagewright.stages.files import save_csv
from stagewright.stages.negative_controls.null_twin import null_twin
from stagewright.stages.negative_controls.twin_note import twin_note
from stagewright.stages.plan1_embeddings import EmbeddedCohort
from stagewright.stages.plan1_folds import cross_validated_patient, folds_of_patient, split_patients
from stagewright.stages.plan1_grid import CellResult, ScoredCell, over_grid
from stagewright.stages.plan1_tables import (
    PatientCells,
    SummaryRow,
    best_row,
    coefficients,
    configurations,
    eligible,
    l1_ratio_of,
    patients_of,
    scores,
    supervised_notes,
    trials,
)
from stagewright.stages.plan1b_tables import ScoredPatient, common_alpha, metric_rows, prediction_rows, summary_row
from stagewright.stages.protocol import StageContext, StageResult
from stagewright.stages.refit.cohort_once import CohortOnce
from stagewright.stages.refit.predictions import RefittedPredictions
from stagewright.stages.refit.refit_folds import refitted_predictions
from stagewright.stages.search_permutation.result import search_result
from stagewright.stages.search_permutation.search import search_permutation
from stagewright.stages.winner_stability import winner_stability
from stagewright.state.layout import analysis, null_twin_summary
from stagewright.state.step_units import has_search, has_twin

__all__ = ["path_of", "run", "score_configuration"]


def run(context: StageContext) -> StageResult:
    """Cross-validate every configuration of the grid.

    Raises
    ------
    UnitFailed
        When an embedding or its paths fail; it names the unit.
    """
    request = context.request
    pipeline, counts = request.study.scope == "pipeline", CohortOnce(context)
    held_out = partial(_refitted, context, counts) if pipeline else None
    twin: list[SummaryRow] = []
    search: list[tuple[str, str]] = []
    with_twin, with_search = has_twin(request.stage, request.study), has_search(request.stage, request.study)

    def beside(cohort: EmbeddedCohort) -> None:
        if with_twin:
            twin.extend(null_twin(context, counts, cohort))
        if with_search:
            search.extend(search_permutation(context, cohort))

    grid = over_grid(context, "cv", score_configuration, held_out, beside=[beside])
    if with_twin:
        save_csv(context.artifacts, null_twin_summary(request.checkpoint), pd.DataFrame(twin))
    summary = grid.summary
    trivial = baselines(grid.cells, request.scope.patient)
    folder = analysis(request.checkpoint) / "classification_grid"
    save_csv(context.artifacts, folder / "baselines.csv", trivial)
    of_row = [scored_patients(trivial, grid.skipped, f"{row['preprocess']}/{row['method']}") for row in summary]
    table = pd.DataFrame(
        [row | baseline_columns(trivial, names) for row, names in zip(summary, of_row, strict=True)],
    )
    candidates = eligible(summary, request.study.scope)
    best = best_row(candidates, "auc_median")
    stability = winner_stability(context, candidates, best)
    decoy = technical_decoy(context, grid.cells)
    of_search, note = search_result(context, search) if with_search else ({}, "")
    table["best"] = [row is best for row in summary]
    save_csv(context.artifacts, folder / "plan1b_summary.csv", table)
    named = f"{best['preprocess']}/{best['method']}/k_{best['k']}/{best['penalty']}"
    return StageResult(
        metrics={
            "plan1b.best.auc": float(best["auc_median"]),
            "plan1b.best.auc_choice_left_out": float(best["auc_choice_left_out_median"]),
            "plan1b.best.average_precision": float(best["average_precision_median"]),
            "plan1b.n_patients": float(min(row["n_patients"] for row in summary)),
        }
        | {"plan1b.decoy.auc": decoy}
        | of_search
        | ({} if stability is None else {"plan1b.best.winner_stability": stability})
        | scores("plan1b", summary, "auc_median", "auc"),
        configurations=configurations(summary),
        skipped=grid.skipped,
        notes=(
            f"best configuration: {named}, median AUC over patients {best['auc_median']:.4f}",
            f"technical decoy: median AUC over patients {decoy:.4f} from depth and technical columns alone",
            *([] if pipeline else supervised_notes(summary)),
            *([twin_note(twin)] if twin else []),
            *([note] if note else []),
            *grid.notes,
        ),
        trials=trials(summary, "auc_median"),
        n_cells=grid.n_cells,
    )


def score_configuration(
    context: StageContext,
    cohort: EmbeddedCohort,
    method: str,
    predicted: RefittedPredictions | None = None,
) -> ScoredCell:
    """Cross-validate one embedding, and return its tables and a summary row for each penalty.

    Parameters
    ----------
    predicted
        Out-of-fold predictions of pipelines that were fitted again in each training fold (scope `pipeline`); the
        embedding of all cells is then that of the refitted coefficients alone.
    """
    embedding = cohort.scores[method].astype(np.float64)
    shared = context.executor.share(embedding, np.asarray, a=embedding)
    try:
        return _scored_cell(context, cohort, method, predicted, shared)
    finally:
        shared.forget()


def _scored_cell(
    context: StageContext,
    cohort: EmbeddedCohort,
    method: str,
    predicted: RefittedPredictions | None,
    shared: SharedValue[np.ndarray],
) -> ScoredCell:
    request, study = context.request, context.request.study
    executor, k = context.executor, cohort.scores[method].shape[1]
    where = f"{cohort.tag}/{method}"
    patients = patients_of(cohort, request.scope.patient, study.group)
    kept, skipped, notes = split_patients(patients, study, where)
    alphas = np.asarray(study.alphas)
    metrics, coefs, predictions, summary = [], [], [], []
    for penalty in study.penalties:

        def score(item: tuple[PatientCells, int], penalty: str = penalty) -> ScoredPatient:
            ratio = l1_ratio_of(study, penalty)
            if predicted is None:
                return ScoredPatient(*item, executor.call(path_of, shared, *item, alphas, study.repeats, ratio))
            found = predicted.by_patient[penalty, item[0].name]
            return ScoredPatient(*item, executor.call(measured_path_of, shared, *item, alphas, found, ratio))

        scored = context.map(score, kept, rounds=len(study.penalties))
        at = common_alpha(scored)
        summary.append(summary_row(cohort, method, penalty, scored, at, len(skipped)))
        for item in scored:
            metrics.append(metric_rows(item, penalty, k, study.repeats))
            coefs.append(coefficients(item.patient.name, penalty, item.path.refit))
            predictions.append(prediction_rows(item, penalty, at, cohort.obs.index))
    tables = {
        "metrics.csv": pd.concat(metrics, ignore_index=True),
        "coefs.csv": pd.concat(coefs, ignore_index=True),
        "oof_predictions.parquet": pd.concat(predictions, ignore_index=True),
    }
    return ScoredCell(CellResult(summary, skipped, notes), tables)


def path_of(
    embedding: np.ndarray, patient: PatientCells, n_folds: int, alphas: np.ndarray, n_repeats: int, l1_ratio: float
) -> CrossValidatedPath:
    """Cross-validate the path of one patient's cells; `embedding` is of all cells, shape (n_cells, k)."""
    return cross_validated_patient(embedding[patient.rows], patient, n_folds, alphas, n_repeats, l1_ratio)


def measured_path_of(
    embedding: np.ndarray,
    patient: PatientCells,
    n_folds: int,
    alphas: np.ndarray,
    predicted: Mapping[tuple[int, int], FoldPrediction],
    l1_ratio: float,
) -> CrossValidatedPath:
    """Measure predictions that were made by pipelines fitted again in each training fold."""
    folds = folds_of_patient(patient, n_folds, 1 + max(repeat for repeat, _ in predicted))
    refit = path_without_cv(embedding[patient.rows], patient.positive, alphas, l1_ratio=l1_ratio)
    return measured_path(patient.positive, folds, predicted, refit, keep_all_decisions=True)


def _refitted(context: StageContext, cohorts: CohortOnce, cohort: EmbeddedCohort) -> dict[str, RefittedPredictions]:
    """Fit the pipeline of one preprocess again in every training fold."""
    entry = next(entry for entry in context.request.study.preprocess if entry.tag == cohort.tag)
    return refitted_predictions(context, entry, cohort, cohorts.counts)
