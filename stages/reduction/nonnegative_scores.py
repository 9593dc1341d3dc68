"""Non-negative scores of cells for fixed loadings: the half of a factorisation that is convex."""

from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import sparse

from stagewright.stages.reduction.divergence_factors import divergence_scores
from stagewright.stages.reduction.squares_factors import squares_scores

__all__ = ["LOSSES", "Loss", "nonnegative_scores"]

Loss = Literal["frobenius", "kullback-leibler"]
LOSSES: tuple[Loss, ...] = ("frobenius", "kullback-leibler")


def nonnegative_scores(
    x: sparse.csr_matrix,
    loadings: npt.NDArray[np.floating],
    loss: Loss,
    scale: npt.NDArray[np.float64] | None = None,
    *,
    start: npt.NDArray[np.floating] | None = None,
) -> tuple[npt.NDArray[np.float64], int]:
    """Minimise the loss between x * scale and scores @ loadings.T over scores >= 0.

    Parameters
    ----------
    x
        Non-negative CSR matrix of shape (n_cells, n_genes).
    loadings
        Non-negative, shape (n_genes, k).
    loss
        "frobenius" or "kullback-leibler" (generalised divergence).
    scale
        Factor of each gene, shape (n_genes,), usually 1 / sd; None for 1.
    start
        Scores near the solution, shape (n_cells, k); it only saves time.

    Returns
    -------
    tuple[npt.NDArray[np.float64], int]
        Scores of shape (n_cells, k), and for how many cells the descent was ended before it settled: those of
        components that are nearly combinations of others. Least squares settle when the optimality conditions hold to
        1e-5 of the slope of the loss, divergences when a round changes less than 1e-4 of the cell's predicted total.

    Raises
    ------
    ValueError
        Some entries are negative, or the loss is unknown.
    """
    if loss not in LOSSES:
        raise ValueError(f"Unknown loss {loss!r}; allowed are {', '.join(LOSSES)}.")
    negative = int(np.count_nonzero(x.data < 0))
    if negative:
        raise ValueError(f"{negative:,} entries are negative; NMF needs log-normalised expression, not centred values.")
    values = x.data.astype(np.float32)
    if scale is not None:
        values *= scale.astype(np.float32)[x.indices]
    kept = np.ascontiguousarray(loadings, dtype=np.float32)
    matrix = sparse.csr_matrix((values, x.indices, x.indptr), shape=x.shape)
    solve = squares_scores if loss == "frobenius" else divergence_scores
    return solve(matrix, kept, start)
