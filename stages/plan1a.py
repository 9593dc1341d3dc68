"""Plan 1A: the preprocess x method grid at the chosen K, with logistic paths per patient without cross-validation.

For each preprocess one AnnData file with an embedding per method; for each embedding and patient with both classes a
path over the penalty strengths, fitted and measured on the same cells. Those scores describe the fit; Plan 1B measures.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from stagewright.stages.classify.path_in_sample import InSamplePath, path_without_cv
from stagewright.stages.executors.executor import SharedValue
from stagewright.stages.files import save_csv
from stagewright.stages.plan1_embeddings import EmbeddedCohort
from stagewright.stages.plan1_grid import CellResult, ScoredCell, over_grid
from stagewright.stages.plan1_tables import (
    METRICS,
    PatientCells,
    SummaryRow,
    best_row,
    coefficients,
    configurations,
    l1_ratio_of,
    patients_of,
    scores,
    supervised_notes,
    trials,
    unsupervised,
)
from stagewright.stages.protocol import StageContext, StageResult
from stagewright.state.artifacts import Skipped
from stagewright.state.layout import analysis

__all__ = ["path_of", "run", "score_paths"]


def run(context: StageContext) -> StageResult:
    """Fit the embeddings of the grid and, on each, one path per patient and penalty.

    Raises
    ------
    UnitFailed
        When a gene selection, an embedding or its paths fail; it names the unit.
    """
    request = context.request
    grid = over_grid(context, "paths", score_paths)
    summary = grid.summary
    table = pd.DataFrame(summary)
    save_csv(context.artifacts, analysis(request.checkpoint) / "classification_grid" / "plan1a_summary.csv", table)
    best = best_row(unsupervised(summary), "auc_in_sample_median")
    return StageResult(
        metrics={
            "plan1a.best.auc_in_sample": float(best["auc_in_sample_median"]),
            "plan1a.n_patients": float(min(row["n_patients"] for row in summary)),
        }
        | scores("plan1a", summary, "auc_in_sample_median", "auc_in_sample"),
        configurations=configurations(summary),
        skipped=grid.skipped,
        notes=(
            "in-sample scores describe the fit, they are no estimate for other cells: plan1b measures out of fold",
            *supervised_notes(summary),
        ),
        trials=trials(summary, "auc_in_sample_median"),
        n_cells=grid.n_cells,
    )


def score_paths(context: StageContext, cohort: EmbeddedCohort, method: str) -> ScoredCell:
    """Fit the paths of one embedding, and return their tables and a summary row for each penalty."""
    embedding = cohort.scores[method].astype(np.float64)
    shared = context.executor.share(embedding, np.asarray, a=embedding)
    try:
        return _scored(context, cohort, method, shared)
    finally:
        shared.forget()


def _scored(context: StageContext, cohort: EmbeddedCohort, method: str, shared: SharedValue[np.ndarray]) -> ScoredCell:
    request, study = context.request, context.request.study
    executor, k = context.executor, cohort.scores[method].shape[1]
    patients = patients_of(cohort, request.scope.patient)
    where = f"{cohort.tag}/{method}"
    skipped = [
        Skipped(patient=item.name, reason=item.single_class, where=where) for item in patients if item.single_class
    ]
    kept = [item for item in patients if not item.single_class]
    alphas = np.asarray(study.alphas)
    metrics, coefs, summary = [], [], []
    for penalty in study.penalties:

        def fit(item: PatientCells, penalty: str = penalty) -> InSamplePath:
            return executor.call(path_of, shared, item, alphas, l1_ratio_of(study, penalty))

        fits = context.map(fit, kept, rounds=len(study.penalties))
        for item, path in zip(kept, fits, strict=True):
            metrics.append(_metric_rows(item, penalty, path, k))
            coefs.append(coefficients(item.name, penalty, path))
        summary.append(_summary_row(cohort, method, penalty, fits, alphas, len(skipped)))
    tables = {
        "metrics_no_cv.csv": pd.concat(metrics, ignore_index=True),
        "coefs_no_cv.csv": pd.concat(coefs, ignore_index=True),
    }
    return ScoredCell(CellResult(summary, skipped), tables)


def path_of(embedding: np.ndarray, patient: PatientCells, alphas: np.ndarray, l1_ratio: float) -> InSamplePath:
    """Fit and measure the path of one patient's cells; `embedding` is of all cells, shape (n_cells, k)."""
    return path_without_cv(embedding[patient.rows], patient.positive, alphas, l1_ratio=l1_ratio)


def _metric_rows(item: PatientCells, penalty: str, path: InSamplePath, k: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "patient": item.name,
            "penalty": penalty,
            "alpha": path.path.alphas,
            "k": k,
            "n_cells": len(item.rows),
            "n_positive": path.metrics.n_positive,
            "n_negative": path.metrics.n_negative,
            "auc": path.metrics.roc_auc,
        }
        | {name: getattr(path.metrics, name) for name in METRICS}
        | {
            "deviance_explained": path.deviance_explained,
            "n_nonzero": path.n_nonzero,
            "gap": path.path.gaps,
        },
    )


def _summary_row(
    cohort: EmbeddedCohort,
    method: str,
    penalty: str,
    fits: Iterable[InSamplePath],
    alphas: np.ndarray,
    n_skipped: int,
) -> SummaryRow:
    """Return the median over patients at the alpha where it is highest; the larger alpha among equals."""
    by_patient = np.vstack([path.metrics.roc_auc for path in fits])
    median = np.median(by_patient, axis=0)
    at = int(np.flatnonzero(median >= median.max() - 1e-12).max())
    return {
        "preprocess": cohort.tag,
        "supervised": cohort.supervised,
        "method": method,
        "k": int(cohort.scores[method].shape[1]),
        "penalty": penalty,
        "alpha": float(alphas[at]),
        "n_patients": len(by_patient),
        "n_skipped": n_skipped,
        "auc_in_sample_median": float(median[at]),
        "auc_in_sample_min": float(by_patient[:, at].min()),
        "auc_in_sample_max": float(by_patient[:, at].max()),
    }
