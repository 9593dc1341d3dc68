"""Compiled kernel of the binary metrics: everything about one column of decision values in one pass over its cells.

With both classes sorted, the negatives below and tied with each positive are found by walking both once, which costs
less than ranking all cells; recall steps at positives only, so average precision is a mean over the positives. A file
of its own because numba's disk cache notices a change in the file of the compiled function only.
"""

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["N_BINS", "OUTPUTS", "losses_kernel", "ranking_kernel", "warm"]

N_BINS = 10
"""Bins of the calibration error, of equal width over [0, 1]."""
OUTPUTS = 5
"""Values of a column in the output of `losses_kernel`."""

_Floats = NDArray[np.float64]


@numba.njit(cache=True, nogil=True)
def ranking_kernel(positives: _Floats, negatives: _Floats, out: _Floats) -> None:
    """Fill `out`, shape (m, 2), with ROC AUC and average precision of each column.

    Parameters
    ----------
    positives, negatives
        Decision values of each class, shape (m, n_positive) and (m, n_negative), each row ascending; none is empty.
    """
    n_positive, n_negative = positives.shape[1], negatives.shape[1]
    for m in range(positives.shape[0]):
        positive, negative = positives[m], negatives[m]
        pairs, precision = 0.0, 0.0
        below, not_above, first = 0, 0, 0
        for i in range(n_positive):
            value = positive[i]
            if i > 0 and value != positive[i - 1]:
                first = i
            while below < n_negative and negative[below] < value:
                below += 1
            not_above = max(not_above, below)
            while not_above < n_negative and negative[not_above] <= value:
                not_above += 1
            pairs += below + not_above
            called_right = n_positive - first
            precision += called_right / (called_right + n_negative - below)
        out[m, 0] = pairs / (2.0 * n_positive * n_negative)
        out[m, 1] = precision / n_positive


@numba.njit(cache=True, nogil=True)
def losses_kernel(positives: _Floats, negatives: _Floats, out: _Floats) -> None:
    """Fill `out`, shape (m, OUTPUTS), with what needs the values and not their order.

    Of each column: positives and negatives called positive (above 0), sum of squared distances of the probability from
    the label, sum of negative log likelihoods in nats, and the calibration error, in which each class has half of the
    weight; NaN where a class is absent.

    Parameters
    ----------
    positives, negatives
        Decision values of each class, shape (m, n_positive) and (m, n_negative), in any order.
    """
    n_positive, n_negative = positives.shape[1], negatives.shape[1]
    predicted, observed = np.empty(N_BINS), np.empty(N_BINS)
    for m in range(positives.shape[0]):
        predicted[:] = 0.0
        observed[:] = 0.0
        brier, loss = 0.0, 0.0
        for label in range(2):
            values = positives[m] if label == 1 else negatives[m]
            called = 0
            for i in range(values.shape[0]):
                value = values[i]
                ratio = np.exp(-abs(value))
                larger = 1.0 / (1.0 + ratio)
                chance = larger if value >= 0.0 else ratio * larger
                away = -value if label == 1 else value
                wrong = ratio * larger if away < 0.0 else larger
                called += int(value > 0.0)
                brier += wrong * wrong
                loss += np.log1p(ratio) + max(away, 0.0)
                weight = 0.5 / values.shape[0]
                place = min(int(chance * N_BINS), N_BINS - 1)
                predicted[place] += weight * chance
                observed[place] += weight * label
            out[m, 0 if label == 1 else 1] = called
        out[m, 2], out[m, 3] = brier, loss
        error = 0.0
        for place in range(N_BINS):
            error += abs(predicted[place] - observed[place])
        out[m, 4] = error if n_positive > 0 and n_negative > 0 else np.nan


def warm() -> None:
    """Compile both kernels, or load them from numba's disk cache."""
    values = np.array([[-1.0, 0.5, 2.0]])
    ranking_kernel(values, values, np.empty((1, 2)))
    losses_kernel(values, values, np.empty((1, OUTPUTS)))
