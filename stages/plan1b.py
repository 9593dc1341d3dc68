"""Plan 1B: the preprocess x method grid at the chosen K, with logistic paths per patient and repeated cross-validation.

Within each patient cells are split into stratified folds, again for each repeat, and the same folds serve every
configuration. With `cv.group` the cells of a group (a sample, a clone) stay in one fold. A configuration has one
penalty strength for all patients: the one with the highest median over patients of the mean AUC over repeats. It is
chosen on the scores that it is reported with, which flatters it a little; the tables hold every strength, and in
`auc_choice_left_out_median` each patient is scored at the strength that the other patients choose. A preprocess that
chose its genes by the label is scored, and never the best: its scores are flattered by the choice, which saw the test
folds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from stagewright.stages.baselines import baseline_columns, baselines, scored_patients
from stagewright.stages.classify.metrics import probability
from stagewright.stages.classify.path_cross_validated import (
    CrossValidatedPath,
    FoldPrediction,
    cross_validated_path,
    measured_path,
)
from stagewright.stages.classify.path_in_sample import path_without_cv
from stagewright.stages.classify.patient_interval import patient_interval
from stagewright.stages.executors.executor import SharedValue
from stagewright.stages.files import save_csv
from stagewright.stages.plan1_embeddings import EmbeddedCohort
from stagewright.stages.plan1_folds import folds_of_patient, split_patients
from stagewright.stages.plan1_grid import CellResult, ScoredCell, over_grid
from stagewright.stages.plan1_tables import (
    METRICS,
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
from stagewright.stages.protocol import StageContext, StageResult
from stagewright.stages.refit.cohort_once import CohortOnce
from stagewright.stages.refit.predictions import RefittedPredictions
from stagewright.stages.refit.refit_folds import refitted_predictions
from stagewright.state.layout import analysis

__all__ = ["path_of", "run", "score_configuration"]

TIE = 1e-12


@dataclass(frozen=True, slots=True)
class _Scored:
    """One patient's cross-validated path."""

    patient: PatientCells
    n_folds: int
    path: CrossValidatedPath


def run(context: StageContext) -> StageResult:
    """Cross-validate every configuration of the grid.

    Raises
    ------
    UnitFailed
        When an embedding or its paths fail; it names the unit.
    """
    request = context.request
    pipeline = request.study.scope == "pipeline"
    held_out = partial(_refitted, context, CohortOnce(context)) if pipeline else None
    grid = over_grid(context, "cv", score_configuration, held_out)
    summary = grid.summary
    trivial = baselines(grid.cells, request.scope.patient)
    folder = analysis(request.checkpoint) / "classification_grid"
    save_csv(context.artifacts, folder / "baselines.csv", trivial)
    of_row = [scored_patients(trivial, grid.skipped, f"{row['preprocess']}/{row['method']}") for row in summary]
    table = pd.DataFrame(
        [row | baseline_columns(trivial, names) for row, names in zip(summary, of_row, strict=True)],
    )
    best = best_row(eligible(summary, request.study.scope), "auc_median")
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
        | scores("plan1b", summary, "auc_median", "auc"),
        configurations=configurations(summary),
        skipped=grid.skipped,
        notes=(
            f"best configuration: {named}, median AUC over patients {best['auc_median']:.4f}",
            *([] if pipeline else supervised_notes(summary)),
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

        def score(item: tuple[PatientCells, int], penalty: str = penalty) -> _Scored:
            ratio = l1_ratio_of(study, penalty)
            if predicted is None:
                return _Scored(*item, executor.call(path_of, shared, *item, alphas, study.repeats, ratio))
            found = predicted.by_patient[penalty, item[0].name]
            return _Scored(*item, executor.call(measured_path_of, shared, *item, alphas, found, ratio))

        scored = context.map(score, kept, rounds=len(study.penalties))
        at = _common_alpha(scored)
        summary.append(_summary_row(cohort, method, penalty, scored, at, len(skipped)))
        for item in scored:
            metrics.append(_metric_rows(item, penalty, k, study.repeats))
            coefs.append(coefficients(item.patient.name, penalty, item.path.refit))
            predictions.append(_prediction_rows(item, penalty, at, cohort.obs.index))
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
    return cross_validated_path(
        embedding[patient.rows],
        patient.positive,
        alphas,
        n_folds=n_folds,
        n_repeats=n_repeats,
        seed=patient.seed,
        groups=patient.groups,
        l1_ratio=l1_ratio,
        keep_all_decisions=True,
    )


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


def _common_alpha(scored: Sequence[_Scored]) -> int:
    """Return the place of the alpha with the highest median AUC over patients; the largest alpha among equals."""
    return _largest_best(np.median(np.vstack([item.path.auc_by_alpha for item in scored]), axis=0))


def _largest_best(auc: np.ndarray) -> int:
    """Return the place of the highest AUC; the last, with the strongest penalty, among equals."""
    return int(np.flatnonzero(auc >= auc.max() - TIE).max())


def _summary_row(
    cohort: EmbeddedCohort,
    method: str,
    penalty: str,
    scored: Sequence[_Scored],
    at: int,
    n_skipped: int,
) -> SummaryRow:
    auc = np.array([item.path.auc_by_alpha[at] for item in scored])
    precision = np.array([item.path.metrics_mean["average_precision"][at] for item in scored])
    (auc_low, auc_high), (mean_low, mean_high) = patient_interval(auc), patient_interval(auc, "mean")
    precision_low, precision_high = patient_interval(precision)
    return {
        "preprocess": cohort.tag,
        "supervised": cohort.supervised,
        "method": method,
        "k": int(cohort.scores[method].shape[1]),
        "penalty": penalty,
        "alpha": float(scored[0].path.alphas[at]),
        "n_patients": len(scored),
        "n_skipped": n_skipped,
        "auc_median": float(np.median(auc)),
        "auc_median_low": float(auc_low),
        "auc_median_high": float(auc_high),
        "auc_mean": float(auc.mean()),
        "auc_mean_low": float(mean_low),
        "auc_mean_high": float(mean_high),
        "auc_min": float(auc.min()),
        "auc_max": float(auc.max()),
        "auc_median_own_alpha": float(np.median([item.path.auc_at_best for item in scored])),
        "auc_choice_left_out_median": _choice_left_out(scored),
        "average_precision_median": float(np.median(precision)),
        "average_precision_median_low": float(precision_low),
        "average_precision_median_high": float(precision_high),
        "recall_positive_median": _median_at(scored, "recall_positive", at),
        "recall_negative_median": _median_at(scored, "recall_negative", at),
        "balanced_accuracy_median": _median_at(scored, "balanced_accuracy", at),
        "brier_median": _median_at(scored, "brier", at),
        "calibration_error_median": _median_at(scored, "calibration_error", at),
        "worst_gap": max(item.path.worst_gap for item in scored),
    }


def _choice_left_out(scored: Sequence[_Scored]) -> float:
    """Return the median AUC over patients, each at the alpha that the other patients choose.

    A single patient has no others: there each fold is scored at the alpha that its other folds choose.
    """
    if len(scored) == 1:
        return float(scored[0].path.auc_choice_left_out.mean())
    auc = np.vstack([item.path.auc_by_alpha for item in scored])
    others = [np.median(np.delete(auc, patient, axis=0), axis=0) for patient in range(len(auc))]
    return float(np.median([row[_largest_best(median)] for row, median in zip(auc, others, strict=True)]))


def _median_at(scored: Sequence[_Scored], metric: str, at: int) -> float:
    return float(np.median([item.path.metrics_mean[metric][at] for item in scored]))


def _metric_rows(item: _Scored, penalty: str, k: int, repeats: int) -> pd.DataFrame:
    path = item.path
    table = {
        "patient": item.patient.name,
        "penalty": penalty,
        "alpha": path.alphas,
        "k": k,
        "n_cells": len(item.patient.rows),
        "n_positive": path.metrics.n_positive,
        "n_negative": path.metrics.n_negative,
        "folds": item.n_folds,
        "repeats": repeats,
        "auc_mean": path.metrics_mean["roc_auc"],
        "auc_sd": path.metrics_sd["roc_auc"],
    }
    for name in METRICS:
        table |= {f"{name}_mean": path.metrics_mean[name], f"{name}_sd": path.metrics_sd[name]}
    table |= {"n_nonzero": path.refit.n_nonzero, "gap": path.worst_gap}
    return pd.DataFrame(table)


def _prediction_rows(item: _Scored, penalty: str, at: int, cells: pd.Index) -> pd.DataFrame:
    """Return each cell's out-of-fold prediction in each repeat, at the configuration's alpha."""
    path = item.path
    if path.oof_decision_by_alpha is None:
        raise RuntimeError("the decisions of every alpha were asked for")
    n_repeats, n = path.folds.shape
    decision = path.oof_decision_by_alpha[:, :, at].ravel()
    return pd.DataFrame(
        {
            "patient": item.patient.name,
            "cell": np.tile(cells[item.patient.rows].to_numpy(dtype=object), n_repeats),
            "penalty": penalty,
            "alpha": path.alphas[at],
            "repeat": np.repeat(np.arange(n_repeats, dtype=np.int32), n),
            "fold": path.folds.ravel().astype(np.int32),
            "label": np.tile(item.patient.positive, n_repeats),
            "decision": decision,
            "probability": probability(decision),
        },
    )
