"""Faults of predictions; the scores are written again to fit them, as a stage that had made them would have done."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stagewright.gates.places import coefficients_table, oof_table
from stagewright.gates.proving.fault_entry import DoesNotApply
from stagewright.gates.proving.faults.patients import cell_of
from stagewright.gates.proving.rescore import rescore
from stagewright.gates.proving.spoiled_step import SpoiledStep

__all__ = [
    "above_one",
    "constant",
    "constant_for_one",
    "flipped",
    "labels_across_folds",
    "lost_cell",
    "lost_repeat",
    "made_up",
    "nearly_constant_for_one",
    "no_coefficient",
    "no_number",
    "one_fold",
    "swapped_label",
    "twice",
]


def no_coefficient(step: SpoiledStep) -> None:
    """Shrink every coefficient of one configuration to nothing."""
    tag, method = cell_of(step)

    def shrink(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(**{name: "0.0" for name in table.columns if name.startswith("component_")})

    step.csv(coefficients_table(step.request, tag, method), shrink)


def constant(step: SpoiledStep) -> None:
    """Predict one half for every cell."""
    _predict(step, lambda table: table.assign(decision=0.0, probability=0.5))


def constant_for_one(step: SpoiledStep) -> None:
    """Predict one half for every cell of one patient, and the others as they are."""

    def flatten(table: pd.DataFrame) -> pd.DataFrame:
        if len(set(table["patient"])) == 1:
            raise DoesNotApply("one patient alone was scored, and constant for all is another fault")
        mine = (table["patient"] == table["patient"].iloc[0]).to_numpy()
        return table.assign(
            decision=table["decision"].mask(mine, 0.0), probability=table["probability"].mask(mine, 0.5)
        )

    _predict(step, flatten)


def nearly_constant_for_one(step: SpoiledStep) -> None:
    """Shrink the decisions of one patient's cells to a thousandth about one half; their ranks stay."""

    def shrink(table: pd.DataFrame) -> pd.DataFrame:
        mine = (table["patient"] == table["patient"].iloc[0]).to_numpy()
        largest = float(np.abs(table.loc[mine, "decision"]).max())
        if largest == 0.0:
            raise DoesNotApply("the first patient's predictions are constant already")
        decision: pd.Series = table["decision"] / np.where(mine, 1e3 * largest, 1.0)
        return table.assign(decision=decision, probability=1 / (1 + np.exp(-decision)))

    _predict(step, shrink)


def above_one(step: SpoiledStep) -> None:
    """Give one cell a probability of 1.2."""
    _predict(step, lambda table: table.assign(probability=table["probability"].mask(_first(table), 1.2)))


def no_number(step: SpoiledStep) -> None:
    """Lose the probability of one cell."""
    _predict(step, lambda table: table.assign(probability=table["probability"].mask(_first(table), np.nan)))


def made_up(step: SpoiledStep) -> None:
    """Write probabilities that follow the label instead of the decision value."""
    _predict(step, lambda table: table.assign(probability=table["label"].astype(float) * 0.9 + 0.05))


def lost_cell(step: SpoiledStep) -> None:
    """Leave one prediction out, that of a difficult cell perhaps."""
    _predict(step, lambda table: table[~_first(table)])


def twice(step: SpoiledStep) -> None:
    """Count one prediction twice."""
    _predict(step, lambda table: pd.concat([table, table[_first(table)]], ignore_index=True))


def lost_repeat(step: SpoiledStep) -> None:
    """Leave the last repeat of the cross-validation out."""

    def lose(table: pd.DataFrame) -> pd.DataFrame:
        last = table["repeat"].max()
        if last == table["repeat"].min():
            raise DoesNotApply("the request asks for one repeat")
        return table[np.asarray(table["repeat"] != last)]

    _predict(step, lose)


def swapped_label(step: SpoiledStep) -> None:
    """Score one cell as if it were of the other class, in every repeat and by every model."""

    def swap(table: pd.DataFrame) -> pd.DataFrame:
        mine = (table["cell"].astype(str) == str(table["cell"].iloc[0])).to_numpy()
        return table.assign(label=flipped(table["label"], mine))

    _predict(step, swap)


def labels_across_folds(step: SpoiledStep) -> None:
    """Exchange the labels of two cells of different folds and classes, so that their number stays."""

    def exchange(table: pd.DataFrame) -> pd.DataFrame:
        first = table.iloc[0]
        same = table["repeat"] == first["repeat"]
        other = table[same & (table["label"] != first["label"]) & (table["fold"] != first["fold"])]
        mine = other[other["patient"] == first["patient"]]
        other = other if mine.empty else mine  # grouped folds hold whole patients
        if other.empty:
            raise DoesNotApply("no two cells of different classes and folds")
        both = table["cell"].astype(str).isin([str(first["cell"]), str(other.iloc[0]["cell"])]).to_numpy()
        return table.assign(label=flipped(table["label"], both))

    _predict(step, exchange)


def one_fold(step: SpoiledStep) -> None:
    """Say that all cells of a repeat were left out together, which leaves no cell to train on."""
    _predict(step, lambda table: table.assign(fold=0))


def _predict(step: SpoiledStep, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    tag, method = cell_of(step)
    step.parquet(oof_table(step.request, tag, method), change)
    rescore(step, tag, method)


def flipped(label: pd.Series, which: NDArray[np.bool_]) -> pd.Series:
    """Return labels, of whatever dtype they are stored in, with those of some rows exchanged."""
    kind: Any = label.dtype
    return pd.Series(label.to_numpy(bool) ^ which, index=label.index).astype(kind)


def _first(table: pd.DataFrame) -> NDArray[np.bool_]:
    return np.asarray(np.arange(len(table)) == 0)
