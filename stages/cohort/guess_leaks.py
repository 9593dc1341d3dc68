"""Find columns that tell the label: they must never become features, nor choose cells."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stagewright.stages.cohort.association import cramers_v
from stagewright.stages.cohort.records import LeakGuess

STRONG_ASSOCIATION = 0.5
"""Cohen 1988 calls an effect of 0.5 large for a two-class variable."""
STRONG_SEPARATION = 0.8
"""Area under the ROC curve above which a number is taken for a classifier's score rather than a quality measure."""
PURE_SHARE = 0.9
PURE_CELLS = 0.25
"""A column also leaks when levels that are 90 % positive hold a quarter of the positive cells."""
PURE_LEVEL_CELLS = 10
"""A level with fewer cells is pure by chance."""


def guess_leaks(
    texts: Mapping[str, pd.Series], numbers: Mapping[str, pd.Series], is_positive: pd.Series
) -> list[LeakGuess]:
    """Compare columns with the label.

    Parameters
    ----------
    texts
        Columns with levels, restricted to the cells of the two classes.
    numbers
        Columns of numbers, restricted likewise.
    is_positive
        Series of length n_cells, True for the positive class.

    Returns
    -------
    The columns that tell the label in whole or in part, the strongest first.
    """
    found: list[LeakGuess] = []
    for name, column in texts.items():
        strength = cramers_v(column, is_positive)
        share = _given_away(column, is_positive)
        if strength >= STRONG_ASSOCIATION or share >= PURE_CELLS:
            reason = (
                f"Cramer's V with the label {strength:.2f}; {share:.0%} of positive cells are in levels that name them"
            )
            found.append({"column": name, "strength": strength, "measure": "cramers_v", "reason": reason})
    for name, column in numbers.items():
        area = _separation(column, is_positive.to_numpy(dtype=bool))
        if area >= STRONG_SEPARATION:
            reason = f"alone it separates the classes with an area under the ROC curve of {area:.2f}"
            found.append({"column": name, "strength": area, "measure": "auc", "reason": reason})
    return sorted(found, key=lambda leak: (-leak["strength"], leak["column"]))


def _given_away(column: pd.Series, is_positive: pd.Series) -> float:
    """Give the share of the positive cells that lie in levels which are almost all positive."""
    table = pd.DataFrame({"level": column, "positive": is_positive}).groupby("level", observed=True)["positive"]
    totals, shares = table.sum(), table.mean()
    positives = int(is_positive.sum())
    pure = (shares >= PURE_SHARE) & (table.size() >= PURE_LEVEL_CELLS)
    return float(totals[pure].sum() / positives) if positives else 0.0


def _separation(column: pd.Series, is_positive: NDArray[np.bool_]) -> float:
    """Compute the area under the ROC curve of a column, whichever way it points (Mann-Whitney, ties halved)."""
    present = column.notna().to_numpy()
    chosen = is_positive[present]
    n_positive, n_negative = int(chosen.sum()), int((~chosen).sum())
    if n_positive == 0 or n_negative == 0:
        return 0.5
    ranks = column[present].astype(float).rank().to_numpy()
    area = (ranks[chosen].sum() - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative)
    return float(max(area, 1.0 - area))
