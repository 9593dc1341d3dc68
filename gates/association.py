"""How much a column tells of the label: computed here again, so that no stage need be believed."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["cramers_v", "separation", "strength_within"]

FEW_LEVELS = 20
LEAST_CELLS = 10
Texts = NDArray[np.object_]
Labels = NDArray[np.bool_]


def cramers_v(levels: Texts, positive: Labels) -> float:
    """Return the bias-corrected Cramer's V of a column with the label, in [0, 1]; 1 where it determines the label.

    Bergsma (2013), J. Korean Stat. Soc. 42:323. 0 for a column with one level, or with a level for each cell.
    """
    table = pd.crosstab(pd.Series(levels), pd.Series(positive)).to_numpy(dtype=np.float64)
    n, (rows, columns) = table.sum(), table.shape
    if min(rows, columns) < 2 or n < 2:  # noqa: PLR2004 - one level says nothing
        return 0.0
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / n
    phi2 = float(((table - expected) ** 2 / expected).sum() / n) - (rows - 1) * (columns - 1) / (n - 1)
    left = min(rows - (rows - 1) ** 2 / (n - 1), columns - (columns - 1) ** 2 / (n - 1)) - 1
    return float(min(1.0, np.sqrt(max(0.0, phi2) / left))) if left > 0 else 0.0


def separation(values: NDArray[np.float64], positive: Labels) -> float:
    """Return |2 AUC - 1| of predicting the label by a number, in [0, 1], whichever way it points; Somers' D.

    Cells without a number are left out; 0 where no cell of a class is left.
    """
    known = np.isfinite(values)
    rank = pd.Series(values[known]).rank().to_numpy()
    label = positive[known]
    n_positive = int(label.sum())
    pairs = n_positive * (label.size - n_positive)
    if pairs == 0:
        return 0.0
    area = (rank[label].sum() - n_positive * (n_positive + 1) / 2) / pairs
    return float(abs(2 * area - 1))


def strength_within(column: pd.Series, positive: Labels, patient: Texts) -> tuple[float, int]:
    """Return the median over patients of how much a column tells of the label, and over how many patients.

    It is `separation` for numbers with more than 20 values, and else `cramers_v`. Patients count that have at least 10
    cells of each class; 0 over 0 patients when there is none.

    Parameters
    ----------
    column
        As in obs, shape (n_cells,).
    positive, patient
        Of each cell, shape (n_cells,).
    """
    by_rank = pd.api.types.is_numeric_dtype(column) and column.nunique() > FEW_LEVELS
    values = column.to_numpy(np.float64, na_value=np.nan) if by_rank else None
    levels = column.astype(str).to_numpy(dtype=object)
    found = []
    for rows in pd.Series(patient).groupby(patient).indices.values():
        label = positive[rows]
        if min(int(label.sum()), int((~label).sum())) >= LEAST_CELLS:
            found.append(cramers_v(levels[rows], label) if values is None else separation(values[rows], label))
    return (float(np.median(found)), len(found)) if found else (0.0, 0)
