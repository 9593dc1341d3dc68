"""Compiled kernel that finds the non-negative least-squares scores of cells for loadings that stay fixed.

Each cell is a convex problem of its own on the Gram matrix of the loadings, solved by cyclic coordinate descent until
its optimality conditions hold (Hsieh and Dhillon 2011, KDD, section 2). No BLAS is called. All of it stands in one file
because numba's disk cache notices a change in the file of the compiled function only.
"""

from collections.abc import Callable
from typing import TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["least_squares_scores", "warm"]

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


def warm() -> None:
    """Compile the kernel, or load it from numba's disk cache."""
    indptr, indices = np.array([0, 1], dtype=np.int64), np.array([0], dtype=np.int32)
    one = np.ones((1, 1), dtype=np.float32)
    least_squares_scores(indptr, indices, one[0], one, 1e-6, 10, np.ones((1, 1)))
