"""Compiled kernel of analytic Pearson residuals, one block of cells at a time."""

from collections.abc import Callable
from typing import TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["add_moments", "fill_residuals", "warm"]

_Function = TypeVar("_Function", bound=Callable[..., object])
_Floats = NDArray[np.float64]


def _compiled(function: _Function) -> _Function:
    return cast("_Function", numba.njit(cache=True, nogil=True)(function))


@_compiled
def fill_residuals(
    indptr: NDArray[np.int64],
    columns: NDArray[np.int32],
    values: NDArray[np.float32],
    totals: _Floats,
    shares: _Floats,
    bounds: _Floats,
    block: _Floats,
) -> None:
    """Fill a block with the clipped residuals (x - mu) / sqrt(mu + mu**2 / theta), mu = total * share.

    Parameters
    ----------
    indptr, columns, values
        The rows of a CSR matrix that the block is about: `indptr` has one more entry than the block has rows.
    totals
        Counts of each cell, shape (n_rows,).
    shares
        Share of each gene in all counts, shape (n_genes,).
    bounds
        (1 / theta, clip).
    block
        Filled, shape (n_rows, n_genes). Where mu is 0, because a cell or a gene has no counts, it is 0.
    """
    inverse_theta, clip = bounds[0], bounds[1]
    n_rows, n_genes = block.shape
    for row in range(n_rows):
        for gene in range(n_genes):
            mu = totals[row] * shares[gene]
            block[row, gene] = max(-mu / np.sqrt(mu + mu * mu * inverse_theta), -clip) if mu > 0 else 0.0
        for position in range(indptr[row], indptr[row + 1]):
            gene = columns[position]
            mu = totals[row] * shares[gene]
            if mu > 0:
                residual = (values[position] - mu) / np.sqrt(mu + mu * mu * inverse_theta)
                block[row, gene] = min(max(residual, -clip), clip)


@_compiled
def add_moments(block: _Floats, sums: _Floats, squares: _Floats) -> None:
    """Add a block's sums and sums of squares, gene by gene, each of shape (n_genes,)."""
    for row in range(block.shape[0]):
        for gene in range(block.shape[1]):
            value = block[row, gene]
            sums[gene] += value
            squares[gene] += value * value


def warm() -> None:
    """Compile the kernels, or load what an earlier process compiled."""
    ones, block = np.ones(1), np.empty((1, 1))
    fill_residuals(np.array([0, 1]), np.zeros(1, np.int32), np.ones(1, np.float32), ones, ones, np.ones(2), block)
    add_moments(block, np.zeros(1), np.zeros(1))
