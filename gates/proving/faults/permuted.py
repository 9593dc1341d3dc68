"""Faults of Plan 2's negative controls."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from stagewright.gates.cohort_obs import strata_of_cells
from stagewright.gates.left_out import left_out
from stagewright.gates.owed_units import permuted_grid
from stagewright.gates.places import controls_summary, permuted_oof
from stagewright.gates.proving.fault_entry import DoesNotApply
from stagewright.gates.proving.faults.predicted import flipped
from stagewright.gates.proving.rescore import rescore_controls
from stagewright.gates.proving.spoiled_step import SpoiledStep

__all__ = ["above_chance", "across_strata", "edited_control", "not_permuted"]


def not_permuted(step: SpoiledStep) -> None:
    """Give the first permutation the labels as they were observed."""
    cells = _strata(step)
    positive = cells.set_index("cell")["positive"]
    permuted = cells.groupby("stratum")["positive"].nunique().max()
    if permuted < 2:  # noqa: PLR2004 - both classes
        raise DoesNotApply("no stratum has cells of both classes, so there is nothing to permute")

    def observe(table: pd.DataFrame) -> pd.DataFrame:
        observed = positive.reindex(table["cell"].astype(str)).to_numpy(bool)
        return table.assign(label=flipped(table["label"], observed != table["label"].to_numpy(bool)))

    _change(step, observe, every=False)


def across_strata(step: SpoiledStep) -> None:
    """Give one cell the other class, so that its stratum has other counts."""

    def flip(table: pd.DataFrame) -> pd.DataFrame:
        cell = (table["cell"].astype(str) == str(table["cell"].iloc[0])).to_numpy()
        return table.assign(label=flipped(table["label"], cell))

    _change(step, flip, every=False)


def above_chance(step: SpoiledStep) -> None:
    """Let the permuted label reach the decision values in every permutation, as a leak would."""
    if step.request.study.permutations < 3:  # noqa: PLR2004 - with fewer the gate warns only
        raise DoesNotApply("fewer than three permutations tell a leak from chance by a warning only")

    def leak(table: pd.DataFrame) -> pd.DataFrame:
        spread = float(np.std(table["decision"])) or 1.0
        decision = table["decision"] + 2 * spread * table["label"].astype(float)
        return table.assign(decision=decision, probability=1 / (1 + np.exp(-decision)))

    _change(step, leak, every=True)


def edited_control(step: SpoiledStep) -> None:
    """Write a lower mean of the permuted scores than the permutations have."""

    def lower(table: pd.DataFrame) -> pd.DataFrame:
        first = np.arange(len(table)) == 0
        return table.assign(permuted_mean=table["permuted_mean"].mask(first, "0.123"))

    step.csv(controls_summary(step.request.checkpoint), lower)


def _change(step: SpoiledStep, change: Callable[[pd.DataFrame], pd.DataFrame], *, every: bool) -> None:
    """Change the predictions of one cell of the grid, of the first permutation or of all, and score them again."""
    left = [cell for cell in permuted_grid(step.request, left_out(step.context)) if cell[1] != "plan1a"]
    if not left:
        raise DoesNotApply(f"{step.asked.step} permuted no stage with out-of-fold predictions")
    _, stage, tag, method = left[0]
    numbers = [number for number, *cell in left if cell == [stage, tag, method]]
    for number in numbers if every else numbers[:1]:
        step.parquet(permuted_oof(step.request.checkpoint, number, stage, tag, method), change)
    rescore_controls(step, stage, tag, method)


def _strata(step: SpoiledStep) -> pd.DataFrame:
    cells = strata_of_cells(step.context, step.request.study.preprocess[0].tag)
    if cells is None:
        raise DoesNotApply("the cells of the first preprocess cannot be read")
    return cells
