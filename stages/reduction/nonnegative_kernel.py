"""Compiled kernels that find the non-negative scores of cells for loadings that stay fixed.

Each cell is a convex problem of its own, solved by cyclic coordinate descent until its optimality conditions hold:
least squares on the Gram matrix of the loadings (Hsieh and Dhillon 2011, KDD, section 2), Kullback-Leibler by Newton
steps of one coordinate over the cell's non-zeros (the same paper, section 3). No BLAS is called. All of it stands in
one file because numba's disk cache notices a change in the file of the compiled function only.
"""

from collections.abc import Callable
from typing import TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["divergence_scores", "least_squares_scores", "warm"]

_Function = TypeVar("_Function", bound=Callable[..., object])
_Float32s = NDArray[np.float32]
_Float64s = NDArray[np.float64]
_Integers = NDArray[np.int32]
_Offsets = NDArray[np.int64]


def _compiled(function: _Function) -> _Function:
    return cast("_Function", numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})(function))


@_compiled
def least_squares_scores(  # noqa: C901, PLR0912 - one compiled loop over cells; its parts share their arrays
    indptr: _Offsets,
    indices: _Integers,
    values: _Float32s,
    loadings: _Float32s,
    tolerance: float,
    max_sweeps: int,
    scores: _Float64s,
) -> int:
    """Minimise ||x - scores @ loadings.T||^2 of each cell over scores >= 0, from the scores given.

    Returns how many cells were not solved in `max_sweeps`: whose largest violated condition, in units of the loss's
    slope at zero scores, is still above the tolerance.
    """
    n_cells, k = scores.shape
    n_genes = loadings.shape[0]
    gram = np.zeros((k, k))
    for gene in range(n_genes):
        for i in range(k):
            left = np.float64(loadings[gene, i])
            if left != 0.0:
                for j in range(k):
                    gram[i, j] += left * loadings[gene, j]
    slope = np.empty(k)
    unsolved = 0
    for cell in range(n_cells):
        slope[:] = 0.0
        for position in range(indptr[cell], indptr[cell + 1]):
            value = np.float64(values[position])
            gene = indices[position]
            for i in range(k):
                slope[i] -= value * loadings[gene, i]
        steepest = 0.0
        for i in range(k):
            steepest = max(steepest, -slope[i])
        for j in range(k):
            score = scores[cell, j]
            if score != 0.0:
                for i in range(k):
                    slope[i] += score * gram[i, j]
        solved = False
        for _ in range(max_sweeps):
            worst = 0.0
            for i in range(k):
                if gram[i, i] == 0.0:
                    scores[cell, i] = 0.0
                    continue
                old = scores[cell, i]
                violated = abs(slope[i]) if old > 0.0 else -slope[i]
                worst = max(worst, violated)
                new = max(0.0, old - slope[i] / gram[i, i])
                if new != old:
                    scores[cell, i] = new
                    step = new - old
                    for j in range(k):
                        slope[j] += step * gram[i, j]
            if worst <= tolerance * steepest:
                solved = True
                break
        if not solved:
            unsolved += 1
    return unsolved


@_compiled
def divergence_scores(  # noqa: C901, PLR0912, PLR0915 - as above
    indptr: _Offsets,
    indices: _Integers,
    values: _Float32s,
    loadings: _Float32s,
    tolerance: float,
    max_sweeps: int,
    scores: _Float64s,
) -> int:
    """Minimise the generalised Kullback-Leibler divergence of each cell over scores >= 0, from the scores given.

    Returns how many cells were not solved in `max_sweeps`: whose largest violated condition, in units of the sum of
    the component's loadings, is still above the tolerance.
    """
    n_cells, k = scores.shape
    n_genes = loadings.shape[0]
    sums = np.zeros(k)
    for gene in range(n_genes):
        for i in range(k):
            sums[i] += loadings[gene, i]
    largest = 0
    for cell in range(n_cells):
        largest = max(largest, indptr[cell + 1] - indptr[cell])
    own = np.empty((k, largest))
    predicted = np.empty(largest)
    counts = np.empty(largest)
    unsolved = 0
    for cell in range(n_cells):
        n = 0
        total = 0.0
        for position in range(indptr[cell], indptr[cell + 1]):
            value = np.float64(values[position])
            if value <= 0.0:
                continue
            gene = indices[position]
            reached = 0.0
            for i in range(k):
                own[i, n] = loadings[gene, i]
                reached += loadings[gene, i]
            if reached > 0.0:  # a gene that no component has costs the same whatever the scores
                counts[n] = value
                total += value
                n += 1
        # Every component that has any of the cell's genes begins above zero: from zero, a first step has no length.
        floor = 0.0
        for i in range(k):
            floor += sums[i]
        floor = 1e-3 * total / floor if floor > 0.0 else 0.0
        for i in range(k):
            if sums[i] == 0.0 or n == 0:
                scores[cell, i] = 0.0
            elif scores[cell, i] < floor:
                scores[cell, i] = floor
        for j in range(n):
            predicted[j] = 0.0
            for i in range(k):
                predicted[j] += scores[cell, i] * own[i, j]
        solved = n == 0
        for _ in range(max_sweeps):
            if solved:
                break
            worst = 0.0
            for i in range(k):
                if sums[i] == 0.0:
                    continue
                old = scores[cell, i]
                slope, curvature = sums[i], 0.0
                for j in range(n):
                    ratio = own[i, j] / predicted[j]
                    slope -= counts[j] * ratio
                    curvature += counts[j] * ratio * ratio
                worst = max(worst, (abs(slope) if old > 0.0 else -slope) / sums[i])
                if old == 0.0 and slope >= 0.0:
                    continue
                new = old - slope / curvature if curvature > 0.0 else 0.0
                if new <= 0.0:
                    # From above, Newton overshoots: zero is the minimum only if the slope there still rises.
                    new = 0.0
                    slope = sums[i]
                    for j in range(n):
                        rest = predicted[j] - old * own[i, j]
                        if own[i, j] > 0.0:
                            slope -= counts[j] * own[i, j] / rest if rest > 1e-12 * predicted[j] else np.inf
                    if slope < 0.0:
                        new = 0.1 * old
                step = new - old
                scores[cell, i] = new
                for j in range(n):
                    predicted[j] += step * own[i, j]
            if worst <= tolerance:
                solved = True
        if not solved:
            unsolved += 1
    return unsolved


def warm() -> None:
    """Compile every kernel, or load it from numba's disk cache."""
    indptr, indices = np.array([0, 1], dtype=np.int64), np.array([0], dtype=np.int32)
    values, loadings = np.ones(1, dtype=np.float32), np.ones((1, 1), dtype=np.float32)
    for kernel in (least_squares_scores, divergence_scores):
        kernel(indptr, indices, values, loadings, 1e-6, 10, np.ones((1, 1)))
