"""Score predictions again as they are now, as a stage that had made them would have.

So that a fault in the predictions is seen by the gate that it belongs to, and not by the one that compares scores.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stagewright.gates.left_out import left_out
from stagewright.gates.model_names import mode_of, with_model_names
from stagewright.gates.oof import read_oof
from stagewright.gates.oof_auc import roc_auc_by_repeat
from stagewright.gates.owed_units import permuted_grid
from stagewright.gates.places import (
    controls_summary,
    grid_summary,
    oof_table,
    patient_table,
    permuted_oof,
    permuted_summary,
)
from stagewright.gates.proving.spoiled_step import SpoiledStep
from stagewright.gates.result_rows import alpha_key
from stagewright.gates.tables import numbers
from stagewright.gates.winner_stability import METRIC, winner_share

__all__ = ["rescore", "rescore_controls"]

OVER_PATIENTS: Mapping[str, Callable[[NDArray[np.float64]], np.floating]] = MappingProxyType(
    {"auc_median": np.median, "auc_mean": np.mean, "auc_min": np.min, "auc_max": np.max}
)
KEY = ["preprocess", "method", "penalty"]


def rescore(step: SpoiledStep, tag: str, method: str) -> None:
    """Write the AUCs of one cell of the grid again: of patients, over patients, the best row, and the metrics."""
    table = read_oof(step.run / oof_table(step.request, tag, method))
    if table is None:
        return
    auc = _by_patient(step, table)
    alphas = {name: alpha_key(rows["alpha"].iloc[0]) for name, rows in table.groupby("penalty", observed=True)}

    def by_patient(metrics: pd.DataFrame) -> pd.DataFrame:
        names = with_model_names(metrics)["penalty"].astype(str)
        own = [
            auc.get((name, patient)) if alpha_key(alpha) == alphas.get(name) else None
            for name, patient, alpha in zip(names, metrics["patient"], numbers(metrics["alpha"]), strict=True)
        ]
        scores = [said if new is None else repr(float(new)) for said, new in zip(metrics["auc_mean"], own, strict=True)]
        return metrics.assign(auc_mean=scores)

    step.csv(patient_table(step.request, tag, method), by_patient)
    step.csv(grid_summary(step.request), lambda summary: _over_patients(step, summary, tag, method, auc))
    if METRIC in step.outcome.metrics and (share := winner_share(step.context)) is not None:
        step.say(metrics=step.outcome.metrics | {METRIC: share})


def rescore_controls(step: SpoiledStep, stage: str, tag: str, method: str) -> None:
    """Write the scores of one cell of the mirrored grid again, of each permutation and their mean."""
    request = step.request
    numbers_left = [
        number for number, *cell in permuted_grid(request, left_out(step.context)) if cell == [stage, tag, method]
    ]
    medians: dict[str, list[float]] = {}
    for number in numbers_left:
        table = read_oof(step.run / permuted_oof(request.checkpoint, number, stage, tag, method))
        if table is None:
            continue
        auc = roc_auc_by_repeat(table).groupby(["penalty", "patient"], observed=True).mean()
        now = {str(name): float(own.median()) for name, own in auc.groupby("penalty", observed=True)}
        for name, median in now.items():
            medians.setdefault(name, []).append(median)

        def over_patients(summary: pd.DataFrame, now: Mapping[str, float] = now) -> pd.DataFrame:
            return _replaced(summary, "auc_median", tag, method, now)

        step.csv(permuted_summary(request.checkpoint, number, stage), over_patients)
    means = {name: float(np.mean(values)) for name, values in medians.items()}

    def of_controls(controls: pd.DataFrame) -> pd.DataFrame:
        other = controls["stage"] != stage
        return _replaced(controls, "permuted_mean", tag, method, means, kept=other.to_numpy())

    step.csv(controls_summary(request.checkpoint), of_controls)


def _by_patient(step: SpoiledStep, table: pd.DataFrame) -> dict[tuple[str, str], float]:
    """Return the AUC of each model and patient, mean over repeats; of patients with both classes."""
    mean = roc_auc_by_repeat(table).groupby(["penalty", "patient"], observed=True).mean()
    classes = table.groupby("patient", observed=True)["label"].nunique()
    both = set(classes.index[classes > 1])
    keys = zip(*(mean.index.get_level_values(name) for name in ("penalty", "patient")), strict=True)
    return {
        (str(model), str(patient)): float(value)
        for (model, patient), value in zip(keys, mean.to_numpy(float), strict=True)
        if patient in both or mode_of(step.request, str(model)) is None
    }


def _over_patients(
    step: SpoiledStep, summary: pd.DataFrame, tag: str, method: str, auc: Mapping[tuple[str, str], float]
) -> pd.DataFrame:
    models = {model for model, _ in auc}
    for column, over in OVER_PATIENTS.items():
        now = {model: float(over(np.array([auc[key] for key in auc if key[0] == model]))) for model in models}
        summary = _replaced(summary, column, tag, method, now)
    medians = numbers(summary["auc_median"])
    marked = summary["supervised"].str.lower() if "supervised" in summary else pd.Series("", index=summary.index)
    eligible = ~marked.isin(["true", "1"]).to_numpy()
    ranked = np.where(eligible | ~eligible.any(), medians, -np.inf)
    best = np.arange(len(summary)) == int(np.nanargmax(ranked))
    metrics = step.outcome.metrics | {f"{step.stage}.best.auc": float(np.nanmax(ranked))}
    keys = with_model_names(summary)[KEY].astype(str).agg(".".join, axis=1)
    named = {f"{step.stage}.{key}.auc": float(median) for key, median in zip(keys, medians, strict=True)}
    step.say(metrics=metrics | {name: value for name, value in named.items() if name in metrics})
    return summary.assign(best=best.astype(str))


def _replaced(
    table: pd.DataFrame,
    column: str,
    tag: str,
    method: str,
    now: Mapping[str, float],
    kept: NDArray[np.bool_] | None = None,
) -> pd.DataFrame:
    """Return a table with new values of a column in the rows of one preprocess and method, by the model's name."""
    names = with_model_names(table)["penalty"].astype(str)
    mine = ((table["preprocess"] == tag) & (table["method"] == method)).to_numpy()
    if kept is not None:
        mine &= ~kept
    values = [
        repr(now[name]) if own and name in now else said
        for said, name, own in zip(table[column], names, mine, strict=True)
    ]
    return table.assign(**{column: values})
