"""The tables of Plan 1B: which penalty strength a configuration is scored at, its summary row, metrics, predictions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from stagewright.stages.classify.choice import choice_left_out, choose_alpha
from stagewright.stages.classify.metrics import probability
from stagewright.stages.classify.path_cross_validated import CrossValidatedPath
from stagewright.stages.classify.patient_interval import patient_interval
from stagewright.stages.plan1_embeddings import EmbeddedCohort
from stagewright.stages.plan1_tables import METRICS, PatientCells, SummaryRow

__all__ = ["ScoredPatient", "common_alpha", "metric_rows", "prediction_rows", "summary_row"]


@dataclass(frozen=True, slots=True)
class ScoredPatient:
    """One patient's cross-validated path."""

    patient: PatientCells
    n_folds: int
    path: CrossValidatedPath


def common_alpha(scored: Sequence[ScoredPatient]) -> int:
    """Return the place of the alpha with the highest median AUC over patients; the largest alpha among equals."""
    median = np.median(np.vstack([item.path.auc_by_alpha for item in scored]), axis=0)
    return choose_alpha([median], scored[0].path.alphas)


def summary_row(
    cohort: EmbeddedCohort,
    method: str,
    penalty: str,
    scored: Sequence[ScoredPatient],
    at: int,
    n_skipped: int,
) -> SummaryRow:
    """Return what one configuration and penalty give over the patients, at the alpha in place `at`."""
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


def _choice_left_out(scored: Sequence[ScoredPatient]) -> float:
    """Return the median AUC over patients, each at the alpha that the other patients choose.

    A single patient has no others: there each fold is scored at the alpha that its other folds choose.
    """
    if len(scored) == 1:
        return float(scored[0].path.auc_choice_left_out.mean())
    auc = np.vstack([item.path.auc_by_alpha for item in scored])
    return float(np.median(choice_left_out([auc], scored[0].path.alphas)))


def _median_at(scored: Sequence[ScoredPatient], metric: str, at: int) -> float:
    return float(np.median([item.path.metrics_mean[metric][at] for item in scored]))


def metric_rows(item: ScoredPatient, penalty: str, k: int, repeats: int) -> pd.DataFrame:
    """Return one patient's metrics at every alpha: mean and standard deviation over the repeats."""
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


def prediction_rows(item: ScoredPatient, penalty: str, at: int, cells: pd.Index) -> pd.DataFrame:
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
