"""Non-negative factors of least squares, and scores for factors that are given."""

from functools import partial
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import sparse

from stagewright.stages.reduction.alternating import Factors, Floats, alternate
from stagewright.stages.reduction.nonnegative_kernel import least_squares

__all__ = ["squares_factors", "squares_scores"]

Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]
Side: TypeAlias = tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32], Float32Array]

FEW_SWEEPS = 4
ROUGH = 1e-2
"""While both factors move, a factor that is the best to two digits for the other one is good enough."""
SCORES_TOLERANCE = 1e-5
SCORES_SWEEPS = 2000


def squares_factors(x: sparse.csr_matrix, w: Float32Array, h: Float32Array, *, tol: float, max_iter: int) -> Factors:
    """Minimise ||x - w @ h.T||^2, w and h >= 0, by alternating coordinate descent.

    Parameters
    ----------
    x
        float32 CSR matrix, shape (n_cells, n_genes).
    w, h
        The start, float32 of shapes (n_cells, k) and (n_genes, k); left untouched.
    tol, max_iter
        As in `alternate`.
    """
    cells, genes = _side(x), _side(sparse.csc_matrix(x))
    total = float(np.square(x.data, dtype=np.float64).sum())

    # Both factors move in float64: asarray hands them on as they are.
    def improve(side: Side, fixed: Floats, moving: Floats) -> float:
        own = np.asarray(moving, dtype=np.float64)
        squares, _ = least_squares(*side, fixed.astype(np.float32), own, ROUGH, FEW_SWEEPS)
        return (total + float(squares)) / 2

    start = w.astype(np.float64), h.astype(np.float64)
    return alternate(partial(improve, cells), partial(improve, genes), *start, tol=tol, max_iter=max_iter)


def squares_scores(
    x: sparse.csr_matrix, h: Float32Array, start: npt.NDArray[np.floating] | None = None
) -> tuple[Float64Array, int]:
    """Minimise the squares of each cell over its scores; see `nonnegative_scores`."""
    scores = np.zeros((x.shape[0], h.shape[1]))
    if start is not None:
        scores[:] = start
    _, unsolved = least_squares(*_side(x), h, scores, SCORES_TOLERANCE, SCORES_SWEEPS)
    return scores, int(unsolved)


def _side(
    matrix: sparse.csr_matrix | sparse.csc_matrix,
) -> Side:
    return matrix.indptr.astype(np.int64), matrix.indices.astype(np.uint32), matrix.data.astype(np.float32)
