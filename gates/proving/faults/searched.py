"""Faults of Plan 1b's search-wide permutation: too few labellings, or scores that it does not have."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from stagewright.gates.left_out import left_out
from stagewright.gates.owed_units import search_grid
from stagewright.gates.places import search_aucs, search_configurations, search_labellings
from stagewright.gates.proving.fault_entry import DoesNotApply
from stagewright.gates.proving.spoiled_step import SpoiledStep
from stagewright.gates.search_permutation import P_METRIC
from stagewright.gates.tables import numbers

__all__ = ["edited_p", "edited_table", "fewer_labellings", "lost_patient", "no_better", "weak_permutations"]

WEAKER = 0.2


def fewer_labellings(step: SpoiledStep) -> None:
    """Score one configuration under all labellings but the last."""
    _change_first(step, lambda table: table[table["labelling"] < table["labelling"].max()])


def lost_patient(step: SpoiledStep) -> None:
    """Leave one patient out of the search of one configuration."""

    def lose(table: pd.DataFrame) -> pd.DataFrame:
        if table["patient"].nunique() < 2:  # noqa: PLR2004 - nobody would be left
            raise DoesNotApply(f"{step.asked.step} searched over one patient")
        kept: pd.DataFrame = table[table["patient"] != table["patient"].iloc[0]]
        return kept

    _change_first(step, lose)


def weak_permutations(step: SpoiledStep) -> None:
    """Let every configuration score lower under permuted labels than they do, so that the observed one stands out."""

    def weaken(table: pd.DataFrame) -> pd.DataFrame:
        by = np.where(table["labelling"].to_numpy() > 0, WEAKER, 0.0).astype(np.float32)
        return table.assign(auc_within_strata=(table["auc_within_strata"] - by).clip(0.0))

    for tag, method in _cells(step):
        step.parquet(search_aucs(step.request.checkpoint, tag, method), weaken)


def no_better(step: SpoiledStep) -> None:
    """Let the observed labelling change places with a permuted one whose best score lies in the middle."""
    best = numbers(_labellings(step)["auc_within_strata"])
    middle = int(np.argsort(best[1:])[(best.size - 1) // 2]) + 1

    def swap(table: pd.DataFrame) -> pd.DataFrame:
        number = table["labelling"]
        return table.assign(labelling=number.mask(number == 0, middle).mask(number == middle, 0).astype(np.int32))

    for tag, method in _cells(step):
        step.parquet(search_aucs(step.request.checkpoint, tag, method), swap)


def edited_p(step: SpoiledStep) -> None:
    """Report half of the p value that the scores give to the stop criteria."""
    _cells(step)
    step.say(metrics=step.outcome.metrics | {P_METRIC: step.outcome.metrics.get(P_METRIC, 1.0) / 2})


def edited_table(step: SpoiledStep) -> None:
    """Report one configuration with half of its p value."""
    _cells(step)

    def halve(table: pd.DataFrame) -> pd.DataFrame:
        value = repr(float(numbers(table["p_search"])[0]) / 2)
        return table.assign(p_search=table["p_search"].mask(np.arange(len(table)) == 0, value))

    step.csv(search_configurations(step.request.checkpoint), halve)


def _change_first(step: SpoiledStep, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    step.parquet(search_aucs(step.request.checkpoint, *_cells(step)[0]), change)


def _labellings(step: SpoiledStep) -> pd.DataFrame:
    _cells(step)
    return pd.read_csv(step.run / search_labellings(step.request.checkpoint), dtype=str, keep_default_na=False)


def _cells(step: SpoiledStep) -> list[tuple[str, str]]:
    """Return what was searched, where labels could be permuted."""
    found = [
        cell
        for cell in search_grid(step.request, left_out(step.context))
        if step.has(search_aucs(step.request.checkpoint, *cell))
    ]
    if not found or P_METRIC not in step.outcome.metrics:
        raise DoesNotApply(f"{step.asked.step} has no search-wide permutation")
    return found
