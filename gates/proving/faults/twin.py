"""Faults of the null twin of Plan 1b and 1c: no permutation, a leak, or scores that it does not have."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from stagewright.gates.cohort_obs import strata_of_cells
from stagewright.gates.left_out import left_out
from stagewright.gates.owed_units import twin_grid
from stagewright.gates.places import twin_oof, twin_summary
from stagewright.gates.proving.fault_entry import DoesNotApply
from stagewright.gates.proving.faults.predicted import flipped
from stagewright.gates.proving.spoiled_step import SpoiledStep
from stagewright.gates.tables import numbers

__all__ = ["edited_summary", "label_in_predictions", "not_permuted"]


def not_permuted(step: SpoiledStep) -> None:
    """Give a twin the labels as they were observed."""
    tag, _ = _first(step)
    cells = strata_of_cells(step.context, tag)
    if cells is None:
        raise DoesNotApply("the cells of the first preprocess cannot be read")
    if cells.groupby("stratum")["positive"].nunique().max() < 2:  # noqa: PLR2004 - both classes
        raise DoesNotApply("no stratum has cells of both classes, so there is nothing to permute")
    positive = cells.set_index("cell")["positive"]

    def observe(table: pd.DataFrame) -> pd.DataFrame:
        observed = positive.reindex(table["cell"].astype(str)).to_numpy(bool)
        return table.assign(label=flipped(table["label"], observed != table["label"].to_numpy(bool)))

    _change(step, observe)


def label_in_predictions(step: SpoiledStep) -> None:
    """Let the permuted label reach the decision values of a twin, as a leak would."""

    def leak(table: pd.DataFrame) -> pd.DataFrame:
        spread = float(np.std(table["decision"])) or 1.0
        decision = table["decision"] + 4 * spread * table["label"].astype(float)
        return table.assign(decision=decision, probability=1 / (1 + np.exp(-decision)))

    _change(step, leak)


def edited_summary(step: SpoiledStep) -> None:
    """Report a twin nearer to chance than its predictions are, by a thousandth."""
    _first(step)

    def edit(table: pd.DataFrame) -> pd.DataFrame:
        column = "auc_within_strata_median"
        moved = repr(float(np.nan_to_num(numbers(table[column])[0], nan=0.5)) - 1e-3)
        return table.assign(**{column: table[column].mask(np.arange(len(table)) == 0, moved)})

    step.csv(twin_summary(step.request), edit)


def _change(step: SpoiledStep, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    step.parquet(twin_oof(step.request.checkpoint, step.stage, *_first(step)), change)


def _first(step: SpoiledStep) -> tuple[str, str]:
    for cell in twin_grid(step.request, left_out(step.context)):
        if step.has(twin_oof(step.request.checkpoint, step.stage, *cell)):
            return cell
    raise DoesNotApply(f"{step.asked.step} has no null twin")
