"""Compiled kernel of non-negative least squares: the coordinates of cells for a factor that stays fixed.

Each cell is a convex problem of its own on the Gram matrix of the fixed factor, solved by cyclic coordinate descent
(Hsieh and Dhillon 2011, KDD, section 2). The product of the sparse matrix with the fixed factor costs most; a few
sweeps on its result are nearly free (Gillis and Glineur 2012, Neural Comput. 24:1085). No BLAS is called. All of it
stands in one file because numba's disk cache notices a change in the file of the compiled function only.
"""

from collections.abc import Callable
from typing import TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["least_squares", "warm"]

_Function = TypeVar("_Function", bound=Callable[..., object])
_Float32s = NDArray[np.float32]
_Float64s = NDArray[np.float64]
_Indices = NDArray[np.uint32]
_Offsets = NDArray[np.int64]

_SHORT = 256
"""Rows that are added up in float32 before they go into a float64 sum."""


def _compiled(function: _Function) -> _Function:
    # Sums may be reassociated (SIMD); NaN and infinity keep their meaning.
    options = {"reassoc", "contract", "nsz"}
    return cast("_Function", numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=options)(function))


@_compiled
def _products(fixed: _Float32s, genes: _Indices, values: _Float32s, products: _Float32s) -> None:
    """Sum of values[j] * fixed[genes[j]]."""
    k = fixed.shape[1]
    for i in range(k):
        products[i] = np.float32(0)
    n = len(genes)
    j = 0
    while j + 4 <= n:
        f0, f1, f2, f3 = fixed[genes[j]], fixed[genes[j + 1]], fixed[genes[j + 2]], fixed[genes[j + 3]]
        x0, x1, x2, x3 = values[j], values[j + 1], values[j + 2], values[j + 3]
        for i in range(k):
            products[i] += x0 * f0[i] + x1 * f1[i] + (x2 * f2[i] + x3 * f3[i])
        j += 4
    while j < n:
        f0, x0 = fixed[genes[j]], values[j]
        for i in range(k):
            products[i] += x0 * f0[i]
        j += 1


@_compiled
def _gram(fixed: _Float32s) -> _Float64s:
    n, k = fixed.shape
    gram = np.zeros((k, k))
    part = np.zeros((k, k), dtype=np.float32)
    for row in range(n):
        values = fixed[row]
        for i in range(k):
            left = values[i]
            if left != 0:
                line = part[i]
                for j in range(k):
                    line[j] += left * values[j]
        if (row + 1) % _SHORT == 0 or row == n - 1:
            for i in range(k):
                for j in range(k):
                    gram[i, j] += part[i, j]
            part[:] = np.float32(0)
    return gram


@_compiled
def least_squares(  # noqa: C901, PLR0912 - one compiled loop over cells; its parts share their arrays
    indptr: _Offsets,
    indices: _Indices,
    values: _Float32s,
    fixed: _Float32s,
    moving: _Float64s,
    tolerance: float,
    max_sweeps: int,
) -> tuple[float, int]:
    """Minimise ||x - moving @ fixed.T||^2 of each cell over moving >= 0, from where it is.

    Parameters
    ----------
    indptr, indices, values
        The matrix by cells.
    fixed
        Shape (n_genes, k).
    moving
        Shape (n_cells, k); changed in place.
    tolerance
        A cell is solved when no optimality condition is violated by more than this share of the steepest slope that it
        has at zero.
    max_sweeps
        The most visits of each coordinate.

    Returns
    -------
    tuple[float, int]
        The squares before, less those of x itself, and how many cells were not solved.
    """
    n_cells, k = moving.shape
    gram = _gram(fixed)
    products = np.empty(k, dtype=np.float32)
    slope = np.empty(k)
    squares = 0.0
    unsolved = 0
    for cell in range(n_cells):
        scores = moving[cell]
        start, end = indptr[cell], indptr[cell + 1]
        _products(fixed, indices[start:end], values[start:end], products)
        steepest = 0.0
        for i in range(k):
            slope[i] = -products[i]
            steepest = max(steepest, -slope[i])
        for j in range(k):
            score = scores[j]
            if score != 0.0:
                line = gram[j]
                for i in range(k):
                    slope[i] += score * line[i]
        for i in range(k):
            squares += (slope[i] - products[i]) * scores[i]
        solved = False
        for _ in range(max_sweeps):
            worst = 0.0
            for i in range(k):
                own = gram[i, i]
                old = scores[i]
                if own == 0.0:
                    scores[i] = 0.0
                    continue
                violated = abs(slope[i]) if old > 0.0 else -slope[i]
                worst = max(worst, violated)
                new = max(0.0, old - slope[i] / own)
                step = new - old
                if step != 0.0:
                    scores[i] = new
                    line = gram[i]
                    for j in range(k):
                        slope[j] += step * line[j]
            if worst <= tolerance * steepest:
                solved = True
                break
        if not solved:
            unsolved += 1
    return squares, unsolved


def warm() -> None:
    """Compile the kernel, or load it from numba's disk cache."""
    indptr, indices = np.array([0, 1], dtype=np.int64), np.array([0], dtype=np.uint32)
    one = np.ones((1, 1), dtype=np.float32)
    least_squares(indptr, indices, one[0], one, np.ones((1, 1)), 1e-6, 10)
