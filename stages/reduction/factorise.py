"""What every non-negative factorisation does: scale the genes, start somewhere, minimise a loss, say how good it is."""

import numpy as np
import numpy.typing as npt
from scipy import sparse

from stagewright.stages.reduction.alternating import Factors
from stagewright.stages.reduction.divergence_factors import divergence_factors
from stagewright.stages.reduction.nonnegative_scores import LOSSES, Loss
from stagewright.stages.reduction.squares_factors import squares_factors
from stagewright.stages.reduction.standardise import Standardised, standardise
from stagewright.stages.reduction.view import View

__all__ = ["explained_and_objective", "factorise", "scalable", "squared_residual", "variance_scaled"]

Float64Array = npt.NDArray[np.float64]

BLOCK_CELLS = 512


def scalable(x: sparse.csr_matrix | View, k: int, loss: str) -> Standardised:
    """Return the view whose sd the genes are scaled by, once it is sure that a factorisation can be made.

    Raises
    ------
    ValueError
        Some entries are negative, or `k` or `loss` is out of range.
    """
    if loss not in LOSSES:
        raise ValueError(f"Unknown loss {loss!r}; allowed are {', '.join(LOSSES)}.")
    view = standardise(x) if sparse.issparse(x) else x
    if not isinstance(view, Standardised):
        raise ValueError(f"{type(view).__name__} has negative values; NMF needs a sparse scale such as log1p.")  # noqa: TRY004 - what the study asks for, no wrong call
    n_cells, n_genes = view.shape
    if not 1 <= k <= min(n_cells, n_genes):
        raise ValueError(f"k is {k}; NMF of {n_cells} cells and {n_genes} genes takes 1 to {min(n_cells, n_genes)}.")
    negative = int(np.count_nonzero(view.x.data < 0))
    if negative:
        raise ValueError(f"{negative:,} entries are negative; NMF needs log-normalised expression, not centred values.")
    return view


def variance_scaled(view: Standardised, *, scale: bool = True) -> sparse.csr_matrix:
    """Return x / sd in float32, not centred; a constant gene becomes zero. Without `scale`, x itself in float32."""
    values = view.x.data.astype(np.float32)
    if scale:
        values *= view.inverse_sd.astype(np.float32)[view.x.indices]
    return sparse.csr_matrix((values, view.x.indices, view.x.indptr), shape=view.shape)


def factorise(
    matrix: sparse.csr_matrix, k: int, rng: np.random.Generator, loss: Loss, *, tol: float, max_iter: int
) -> Factors:
    """Factorise from scikit-learn's random start, drawn from `rng`: half-normal, of the size that gives the mean."""
    n_cells, n_genes = matrix.shape
    size = np.float32(np.sqrt(matrix.mean() / k))
    w = size * np.abs(rng.standard_normal((n_cells, k), dtype=np.float32))
    h = size * np.abs(rng.standard_normal((n_genes, k), dtype=np.float32))
    solve = squares_factors if loss == "frobenius" else divergence_factors
    return solve(matrix, w, h, tol=tol, max_iter=max_iter)


def explained_and_objective(
    matrix: sparse.csr_matrix, w: npt.NDArray[np.floating], h: npt.NDArray[np.floating], loss: Loss
) -> tuple[float, float]:
    """Measure a factorisation in float64.

    Returns
    -------
    tuple[float, float]
        1 - ||x - w @ h.T||^2 / ||x||^2, and the loss: half the squared residual, or the generalised divergence.
    """
    total = float(np.square(matrix.data, dtype=np.float64).sum())
    residual = squared_residual(matrix, w, h)
    objective = residual / 2
    if loss == "kullback-leibler":
        objective = _divergence(matrix, w.astype(np.float64), h.astype(np.float64))
    return max(1 - residual / total, 0.0), objective


def squared_residual(matrix: sparse.csr_matrix, w: npt.NDArray[np.floating], h: npt.NDArray[np.floating]) -> float:
    """Return ||x - w @ h.T||^2, in float64."""
    w64, h64 = w.astype(np.float64), h.astype(np.float64)
    total = float(np.square(matrix.data, dtype=np.float64).sum())
    products = float(np.vdot(matrix @ h64, w64))
    return max(total - 2 * products + float(np.vdot(w64.T @ w64, h64.T @ h64)), 0.0)


def _divergence(matrix: sparse.csr_matrix, w: Float64Array, h: Float64Array) -> float:
    """Generalised Kullback-Leibler divergence of the matrix; its zeros cost the sum of w @ h.T only."""
    total = float(w.sum(axis=0) @ h.sum(axis=0)) - float(matrix.data.sum(dtype=np.float64))
    tiny = float(np.finfo(np.float32).eps)
    for first in range(0, matrix.shape[0], BLOCK_CELLS):
        rows = matrix[first : first + BLOCK_CELLS].tocoo()
        predicted: Float64Array = (w[first : first + BLOCK_CELLS] @ h.T)[rows.row, rows.col]
        observed = rows.data.astype(np.float64)
        positive = observed > 0
        logs = np.log(observed[positive] / np.maximum(predicted[positive], tiny))
        total += float(observed[positive] @ logs)
    return total
