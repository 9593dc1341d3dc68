"""ROC AUC of out-of-fold predictions, from ranks."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["roc_auc", "roc_auc_by_repeat"]

KEYS = ["penalty", "patient", "repeat"]


def roc_auc_by_repeat(table: pd.DataFrame) -> pd.Series:
    """Return the area under the ROC curve of each penalty, patient and repeat.

    The area is the share of the pairs of a positive and a negative cell in which the positive one has the higher
    decision value; tied pairs count one half (Mann and Whitney 1947). In [0, 1]; higher is better.

    Parameters
    ----------
    table
        One row a prediction, with the columns penalty, patient, repeat, label and decision.

    Returns
    -------
    pandas.Series
        Indexed by penalty, patient and repeat. NaN where a class is absent or a decision value is not a number.
    """
    grouped = table.groupby(KEYS, observed=True, sort=True)
    groups, index = np.asarray(grouped.ngroup(), dtype=np.int64), grouped.size().index
    areas = _areas(table["decision"].to_numpy(float), table["label"].to_numpy(bool), groups, len(index))
    return pd.Series(areas, index=index)


def roc_auc(decision: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """Return the area under the ROC curve of one group of predictions, as `roc_auc_by_repeat` does."""
    return float(_areas(decision, positive, np.zeros(decision.size, dtype=np.int64), 1)[0])


def _areas(
    decision: NDArray[np.float64], positive: NDArray[np.bool_], groups: NDArray[np.int64], n_groups: int
) -> NDArray[np.float64]:
    """Return the area of each group, shape (n_groups,)."""
    order = np.lexsort((decision, groups))
    values, of = decision[order], groups[order]
    # Equal values of one group share the mean of the places that they take in it.
    first = np.flatnonzero(np.r_[True, (values[1:] != values[:-1]) | (of[1:] != of[:-1])])
    sizes = np.diff(np.r_[first, of.size])
    begins = np.searchsorted(of, np.arange(n_groups))
    rank = np.repeat(first + 0.5 * (sizes + 1), sizes) - begins[of]
    n = np.bincount(groups, minlength=n_groups)
    n_positive = np.bincount(groups, weights=positive, minlength=n_groups)
    above = np.bincount(of, weights=rank * positive[order], minlength=n_groups) - n_positive * (n_positive + 1) / 2
    pairs = n_positive * (n - n_positive)
    lost = np.bincount(groups, weights=np.isnan(decision), minlength=n_groups) > 0
    areas = np.full(n_groups, np.nan)
    np.divide(above, pairs, out=areas, where=(pairs > 0) & ~lost)
    return areas
