"""The AUC over pairs of cells of one stratum, where permuted labels have no tie to anything."""

import numpy as np
from numpy.typing import NDArray

from stagewright.stages.classify.metrics import roc_auc

__all__ = ["auc_within"]

_Floats = NDArray[np.float64]


def auc_within(decision: _Floats, positive: NDArray[np.bool_], stratum: NDArray[np.int64]) -> _Floats:
    """Return the share of the pairs of cells of one stratum in the right order, by column; NaN without such a pair.

    Parameters
    ----------
    decision
        Shape (n, m).
    positive, stratum
        Class and stratum of each cell, shape (n,).
    """
    right, pairs = np.zeros(decision.shape[1]), 0
    for number in np.unique(stratum):
        here = stratum == number
        n_positive = int(positive[here].sum())
        weight = n_positive * (int(here.sum()) - n_positive)
        if weight:
            right += weight * roc_auc(decision[here], positive[here])
            pairs += weight
    return right / pairs if pairs else np.full(decision.shape[1], np.nan)
