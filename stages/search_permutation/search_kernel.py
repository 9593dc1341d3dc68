"""Compiled kernels of the search-wide permutation: many labellings of the same cells at once.

`sparse_paths_kernel` minimises, for each labelling and penalty, half of w'Gw minus w'd plus the penalty: the first
Newton step of a logistic path, in which all labellings share the matrix G. `within_kernel` measures the decisions.
A file of its own because numba's disk cache notices a change in the file of the compiled function only.
"""

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["sparse_paths_kernel", "warm", "within_kernel"]

_Floats = NDArray[np.float64]

_MOST_SWEEPS = 100
_TOLERANCE = 1e-3
"""Of a coefficient, relative to the largest difference of means. What is made of the coefficients is a ranking, and the
same rule serves every labelling."""


@numba.njit(cache=True, nogil=True)
def sparse_paths_kernel(
    gram: _Floats, slopes: _Floats, l1: _Floats, l2: _Floats, out: _Floats, moved: NDArray[np.bool_]
) -> None:
    """Fit a path of penalties for each labelling by coordinate descent, each from the one before.

    Parameters
    ----------
    gram
        Second moments of the features, shape (p, p), of unit diagonal, or 0 for a feature that does not vary.
    slopes
        Difference of the classes' means by labelling, shape (n_labellings, p).
    l1, l2
        Penalties in decreasing order, shape (m,).
    out
        Output of shape (n_labellings, m, p).
    moved
        Output of shape (n_labellings, m): whether the coefficients differ from those at the penalty before (from 0 at
        the first).
    """
    p = gram.shape[0]
    for labelling in range(slopes.shape[0]):
        coef, residual = np.zeros(p), slopes[labelling].copy()
        tolerance = _TOLERANCE * np.max(np.abs(residual))
        for m in range(l1.shape[0]):
            moved[labelling, m] = False
            for _ in range(_MOST_SWEEPS):
                settled = True
                for j in range(p):
                    curvature = gram[j, j]
                    if curvature == 0.0:
                        continue
                    target = residual[j] + curvature * coef[j]
                    value = np.sign(target) * max(abs(target) - l1[m], 0.0) / (curvature + l2[m])
                    change = value - coef[j]
                    if abs(change) > tolerance:
                        settled = False
                        coef[j] = value
                        row = gram[j]
                        for i in range(p):
                            residual[i] -= change * row[i]
                if settled:
                    break
                moved[labelling, m] = True
            out[labelling, m] = coef


@numba.njit(cache=True, nogil=True)
def _smaller_class_first(label: NDArray[np.bool_], begin: int, end: int, order: NDArray[np.int64]) -> tuple[int, bool]:
    """Write the cells from `begin` to `end` into `order`, those of the smaller class first; return its size and class.

    The few are sorted and the many searched for among them, which costs less than sorting all.
    """
    n_positive = 0
    for i in range(begin, end):
        n_positive += int(label[i])
    is_positive = 2 * n_positive <= end - begin
    size = n_positive if is_positive else end - begin - n_positive
    front, back = begin, begin + size
    for i in range(begin, end):
        if label[i] == is_positive:
            order[front] = i
            front += 1
        else:
            order[back] = i
            back += 1
    return size, is_positive


@numba.njit(cache=True, nogil=True)
def _pairs_above(values: _Floats, order: NDArray[np.int64], n_first: int) -> float:
    """Count the pairs in which one of the first cells of `order` lies above one of the others; ties by half."""
    few = np.empty(n_first)
    for i in range(n_first):
        few[i] = values[order[i]]
    few.sort()
    above = 0.0
    for i in range(n_first, order.shape[0]):
        value = values[order[i]]
        low, high = 0, n_first
        while low < high:
            middle = (low + high) // 2
            if few[middle] < value:
                low = middle + 1
            else:
                high = middle
        above += n_first - low
        while low < n_first and few[low] == value:
            above -= 0.5
            low += 1
    return above


@numba.njit(cache=True, nogil=True)
def within_kernel(
    decision: _Floats,
    labelling_of: NDArray[np.int64],
    labels: NDArray[np.bool_],
    bounds: NDArray[np.int64],
    out: _Floats,
) -> None:
    """Fill `out` with the share of pairs of cells of one stratum in the right order; 0.5 where there is no such pair.

    Parameters
    ----------
    decision
        Shape (m, n): a row for each model, cells of one stratum side by side.
    labelling_of
        Which labelling each row of `decision` belongs to, shape (m,), ascending.
    labels
        Class of each cell by labelling, shape (n_labellings, n).
    bounds
        Where each stratum begins, and where the last ends, shape (n_strata + 1,).
    out
        Output of shape (m,).
    """
    n_strata = bounds.shape[0] - 1
    order, n_first = np.empty(decision.shape[1], np.int64), np.empty(n_strata, np.int64)
    first_is_positive = np.empty(n_strata, np.bool_)
    sorted_already = -1
    for row in range(decision.shape[0]):
        if labelling_of[row] != sorted_already:
            sorted_already = labelling_of[row]
            for s in range(n_strata):
                n_first[s], first_is_positive[s] = _smaller_class_first(
                    labels[sorted_already], bounds[s], bounds[s + 1], order
                )
        right, pairs = 0.0, 0.0
        for s in range(n_strata):
            n_pairs = float(n_first[s]) * (bounds[s + 1] - bounds[s] - n_first[s])
            if n_pairs > 0.0:
                above = _pairs_above(decision[row], order[bounds[s] : bounds[s + 1]], n_first[s])
                right += above if first_is_positive[s] else n_pairs - above
                pairs += n_pairs
        out[row] = right / pairs if pairs > 0.0 else 0.5


def warm() -> None:
    """Compile both kernels, or load them from numba's disk cache."""
    out, moved = np.empty((1, 1, 2)), np.empty((1, 1), dtype=np.bool_)
    sparse_paths_kernel(np.eye(2), np.ones((1, 2)), np.ones(1), np.zeros(1), out, moved)
    labels = np.array([[True, False, True]])
    within_kernel(np.ones((1, 3)), np.zeros(1, dtype=np.int64), labels, np.array([0, 3]), np.empty(1))
