"""The tables of Plan 1C: metrics, coefficients, predictions and reliability of one embedding, and its summary rows."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stagewright.stages.classify.calibration import N_BINS, reliability
from stagewright.stages.classify.metrics import BinaryMetrics, probability
from stagewright.stages.classify.patient_interval import patient_interval
from stagewright.stages.plan1_embeddings import EmbeddedCohort
from stagewright.stages.plan1_tables import METRICS, SummaryRow
from stagewright.stages.plan1c_scores import Scored

__all__ = ["prediction_rows", "summary_row", "tables_of"]

WITH_INTERVAL = ("auc", "average_precision")
MODEL = ("mode", "downsampling", "penalty")


def tables_of(
    scored: Sequence[Scored], cohort: EmbeddedCohort, patient_column: str, repeats: int
) -> Mapping[str, pd.DataFrame]:
    """Return the tables of one embedding by file name."""
    return {
        "metrics.csv": pd.concat([_metrics(item, repeats) for item in scored], ignore_index=True),
        "pooled_metrics.csv": _together(scored, repeats),
        "coefs.csv": pd.concat([table for item in scored for table in _coefficients(item)], ignore_index=True),
        "reliability.csv": pd.concat([_reliability(item) for item in scored], ignore_index=True),
        "oof_predictions.parquet": prediction_rows(scored, cohort, patient_column),
    }


def summary_row(cohort: EmbeddedCohort, method: str, scored: Scored, n_skipped: int) -> SummaryRow:
    """Return what one model reaches at its chosen strength: medians over patients, with intervals over patients."""
    chosen = {"auc" if name == "roc_auc" else name: values for name, values in scored.chosen.items()}
    model, auc = scored.model, chosen["auc"]
    row: SummaryRow = {
        "preprocess": cohort.tag,
        "supervised": cohort.supervised,
        "method": method,
        "k": int(cohort.scores[method].shape[1]),
        "mode": model.mode,
        "downsampling": model.downsampling,
        "penalty": model.penalty,
        "l1_ratio": model.l1_ratio,
        "alpha": float(scored.alphas[scored.at]),
        "n_patients": len(scored.patients),
        "n_skipped": n_skipped,
        "n_train": scored.n_train,
        "auc_mean": float(auc.mean()),
        "auc_min": float(auc.min()),
        "auc_max": float(auc.max()),
    }
    low, high = patient_interval(auc, "mean")
    row |= {"auc_mean_low": float(low), "auc_mean_high": float(high)}
    for name, values in chosen.items():
        row[f"{name}_median"] = float(np.median(values))
        if name in WITH_INTERVAL:
            low, high = patient_interval(values)
            row |= {f"{name}_median_low": float(low), f"{name}_median_high": float(high)}
    left_out = scored.choice_left_out
    slope, intercept = (_finite_median(column) for column in scored.calibration.T)
    together = scored.together or {}
    at = scored.at
    return row | {
        "auc_choice_left_out_median": float(np.median(left_out)),
        "calibration_slope_median": slope,
        "calibration_intercept_median": intercept,
        "auc_all_cells": float(together["roc_auc"][at]) if together else float("nan"),
        "average_precision_all_cells": float(together["average_precision"][at]) if together else float("nan"),
        "n_nonzero_median": float(np.median([item.refit.n_nonzero[at] for item in scored.predicted])),
        "worst_gap": float(scored.gaps.max()),
    }


def _finite_median(values: NDArray[np.float64]) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else float("nan")


def _named(scored: Scored) -> dict[str, object]:
    model = scored.model
    return dict(zip(MODEL, (model.mode, model.downsampling, model.penalty), strict=True))


def _metrics(scored: Scored, repeats: int) -> pd.DataFrame:
    """Return a row for each patient and alpha."""
    n_patients, m = scored.mean["roc_auc"].shape
    sizes = np.array([(len(item.rows), int(item.positive.sum())) for item in scored.patients])
    table: dict[str, object] = _named(scored) | {
        "patient": np.repeat(np.array([item.name for item in scored.patients], dtype=object), m),
        "alpha": np.tile(scored.alphas, n_patients),
        "chosen": np.tile(np.arange(m) == scored.at, n_patients),
        "k": int(scored.predicted[0].refit.path.coefs.shape[1]),
        "n_cells": np.repeat(sizes[:, 0], m),
        "n_positive": np.repeat(sizes[:, 1], m),
        "n_negative": np.repeat(sizes[:, 0] - sizes[:, 1], m),
        "folds": np.repeat(scored.n_folds, m),
        "repeats": repeats,
    }
    for name in ("roc_auc", *METRICS):
        shown = "auc" if name == "roc_auc" else name
        table |= {f"{shown}_mean": scored.mean[name].ravel(), f"{shown}_sd": scored.sd[name].ravel()}
    return pd.DataFrame(table | {"gap": scored.gaps.ravel()})


def _together(scored: Iterable[Scored], repeats: int) -> pd.DataFrame:
    """Return a row for each alpha of the models whose parts hold several patients, over all their predictions."""
    tables = []
    for item in scored:
        if item.together is None:
            continue
        rows = item.predicted[0].part.rows.size
        values = {f"{'auc' if name == 'roc_auc' else name}_mean": value for name, value in item.together.items()}
        named = _named(item) | {"alpha": item.alphas, "n_cells": rows, "repeats": repeats}
        tables.append(pd.DataFrame(named | values))
    if tables:
        return pd.concat(tables, ignore_index=True)
    names = [f"{'auc' if name == 'roc_auc' else name}_mean" for name in BinaryMetrics.names()]
    return pd.DataFrame(columns=[*MODEL, "alpha", "n_cells", "repeats", *names])


def _coefficients(scored: Scored) -> Iterable[pd.DataFrame]:
    """Yield the models refitted on all cells of each part at every alpha, per standard deviation of each component."""
    for item in scored.predicted:
        path = item.refit.path
        columns = {f"component_{number + 1}": column for number, column in enumerate(path.coefs.T)}
        named = {
            **_named(scored),
            "patient": item.part.name,
            "alpha": path.alphas,
            "chosen": np.arange(path.alphas.size) == scored.at,
            "intercept": path.intercepts,
            "n_nonzero": item.refit.n_nonzero,
        }
        yield pd.DataFrame(named | columns)


def _reliability(scored: Scored) -> pd.DataFrame:
    """Return the reliability table at the chosen alpha, over the predictions of all repeats of the scored patients."""
    decisions, labels = [], []
    for item in scored.predicted:
        for patient, rows in item.part.scored:
            decisions.append(item.decision[:, rows].ravel())
            labels.append(np.tile(patient.positive, item.decision.shape[0]))
    table = reliability(probability(np.concatenate(decisions)), np.concatenate(labels))
    edges = np.linspace(0.0, 1.0, N_BINS + 1)
    return pd.DataFrame(
        _named(scored)
        | {
            "alpha": scored.alphas[scored.at],
            "bin_from": edges[:-1],
            "bin_to": edges[1:],
            "n_predictions": table.n_cells,
            "weight": table.weight,
            "mean_probability": table.mean_probability,
            "share_positive": table.share_positive,
        }
    )


def prediction_rows(scored: Sequence[Scored], cohort: EmbeddedCohort, patient_column: str) -> pd.DataFrame:
    """Return each cell's out-of-fold prediction in each repeat, at each model's chosen alpha; names as categories."""
    patients = pd.Categorical(cohort.obs[patient_column].astype(str))
    blocks = [(number, item, predicted) for number, item in enumerate(scored) for predicted in item.predicted]
    repeats = [predicted.part.folds.shape for _, _, predicted in blocks]
    sizes = [n_repeats * n for n_repeats, n in repeats]
    rows = np.concatenate([np.tile(predicted.part.rows, len(predicted.part.folds)) for _, _, predicted in blocks])
    models = np.repeat(np.array([number for number, _, _ in blocks], dtype=np.int16), sizes)
    decision = np.concatenate([predicted.decision.ravel() for _, _, predicted in blocks])
    named = {
        name: pd.Categorical.from_codes(codes[models], categories=pd.Index(levels))
        for name, (codes, levels) in _model_codes(scored).items()
    }
    return pd.DataFrame(
        named
        | {
            "patient": pd.Categorical.from_codes(patients.codes[rows], categories=patients.categories),
            "cell": pd.Categorical.from_codes(rows, categories=cohort.obs.index),
            "alpha": np.array([item.alphas[item.at] for item in scored])[models],
            "repeat": np.concatenate([np.repeat(np.arange(shape[0], dtype=np.int32), shape[1]) for shape in repeats]),
            "fold": np.concatenate([predicted.part.folds.ravel() for _, _, predicted in blocks]).astype(np.int32),
            "label": cohort.positive[rows],
            "decision": decision,
            "probability": probability(decision),
        }
    )


def _model_codes(scored: Sequence[Scored]) -> dict[str, tuple[NDArray[np.int16], list[str]]]:
    """Return, for each part of a model's name, its level in each model and the levels."""
    coded = {}
    for name in MODEL:
        values = [str(getattr(item.model, name)) for item in scored]
        levels = [*dict.fromkeys(values)]
        coded[name] = (np.array([levels.index(value) for value in values], dtype=np.int16), levels)
    return coded
