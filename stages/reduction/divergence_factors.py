"""Non-negative factors of least Kullback-Leibler divergence, and scores for factors that are given."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from stagewright.stages.reduction.alternating import Factors, Floats, alternate
from stagewright.stages.reduction.divergence_kernel import descend, scratch

__all__ = ["divergence_factors", "divergence_scores"]

Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]

SCORES_TOLERANCE = 1e-4
SCORES_ROUNDS = 500


@dataclass(frozen=True, slots=True)
class _Side:
    """The matrix by cells, or by genes: its positive entries only, in the form that the kernel takes."""

    indptr: npt.NDArray[np.int64]
    indices: npt.NDArray[np.uint32]
    values: Float32Array
    scratch: tuple[Float32Array, Float32Array]

    def improve(self, fixed: Floats, moving: Floats, *, measure: bool = False) -> float:
        """Visit every coordinate of `moving` once; return what is measured of the divergence."""
        return self.visit(fixed, moving, np.full(len(moving), np.inf, dtype=np.float32), 0.0, measure=measure)

    def visit(self, fixed: Floats, moving: Floats, moved: Float32Array, tolerance: float, *, measure: bool) -> float:
        """Visit the coordinates of those cells that the last visit moved by more than the tolerance."""
        matrix = (self.indptr, self.indices, self.values)
        return float(descend(*matrix, fixed, moving, moved, tolerance, measure, *self.scratch))


def divergence_factors(x: sparse.csr_matrix, w: Floats, h: Floats, *, tol: float, max_iter: int) -> Factors:
    """Minimise the generalised Kullback-Leibler divergence of x from w @ h.T, w and h >= 0.

    Against multiplicative updates from the same start this takes a tenth of the iterations, each of which costs no
    more, since most coordinates are zero.

    Parameters
    ----------
    x
        float32 CSR matrix without negative entries, shape (n_cells, n_genes).
    w, h
        The start, float32 of shapes (n_cells, k) and (n_genes, k); left untouched.
    tol, max_iter
        As in `alternate`.
    """
    positive = sparse.csr_matrix(x, copy=True)
    positive.eliminate_zeros()
    cells, genes = _side(positive, w.shape[1]), _side(sparse.csc_matrix(positive), w.shape[1])

    def improve_w(fixed: Floats, moving: Floats) -> float:
        total = float(fixed.sum(axis=0, dtype=np.float64) @ moving.sum(axis=0, dtype=np.float64))
        return total + cells.improve(fixed, moving, measure=True)

    return alternate(improve_w, genes.improve, w, h, tol=tol, max_iter=max_iter)


def divergence_scores(
    x: sparse.csr_matrix, h: Float32Array, start: npt.NDArray[np.floating] | None = None
) -> tuple[Float64Array, int]:
    """Minimise the divergence of each cell over its scores; see `nonnegative_scores`."""
    positive = sparse.csr_matrix(x, copy=True)
    positive.eliminate_zeros()
    n_cells, k = positive.shape[0], h.shape[1]
    cells = _side(positive, k)
    sums = h.sum(axis=0, dtype=np.float64)
    totals = np.asarray(positive.sum(axis=1), dtype=np.float64).ravel()
    shares = np.divide(1.0, k * sums, out=np.zeros(k), where=sums > 0)
    even = np.outer(totals, shares)
    # A component that begins at zero is taken up where the slope falls; all at zero there would be no slope.
    scores = even.astype(np.float32)
    if start is not None:
        # All at zero there would be no slope; a component that alone is at zero is taken up where its slope falls.
        begun = (start > 0).any(axis=1)
        scores[begun] = start[begun]
    scores[:, sums == 0] = 0
    moved = np.full(n_cells, np.inf, dtype=np.float32)
    for _ in range(SCORES_ROUNDS):
        cells.visit(h, scores, moved, SCORES_TOLERANCE, measure=False)
        if not (moved > SCORES_TOLERANCE).any():
            break
    return scores.astype(np.float64), int(np.count_nonzero(moved > SCORES_TOLERANCE))


def _side(matrix: sparse.csr_matrix | sparse.csc_matrix, k: int) -> _Side:
    indptr = matrix.indptr.astype(np.int64)
    longest = int(np.diff(indptr).max(initial=1))
    return _Side(indptr, matrix.indices.astype(np.uint32), matrix.data.astype(np.float32), scratch(k, longest))
