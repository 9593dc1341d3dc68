"""The standardised view of a sparse matrix: centred and scaled inside each product, never written out as a whole."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

Float64Array = npt.NDArray[np.float64]

PIECE = 2**22
"""Stored values looked at together. Sums are taken piece by piece, so the size belongs to a result's last bits."""

CONSTANT_RATIO = 1e-6
"""A gene whose standard deviation is below this share of its mean is constant up to float32 rounding."""


@dataclass(frozen=True, slots=True)
class Standardised:
    """Implicit z = (x - mean) / sd of a CSR matrix, per gene, without clipping.

    Attributes
    ----------
    x
        CSR matrix of shape (n_cells, n_genes).
    mean
        Mean of each gene, shape (n_genes,).
    sd
        Standard deviation of each gene with ddof = 0, shape (n_genes,), so that a column of z has sum of squares
        n_cells; exactly 0 for a constant gene.
    inverse_sd
        1 / sd, and 0 for a constant gene: its column of z is zero.
    """

    x: sparse.csr_matrix
    mean: Float64Array
    sd: Float64Array
    inverse_sd: Float64Array

    @property
    def shape(self) -> tuple[int, int]:
        """(n_cells, n_genes)."""
        n_cells, n_genes = self.x.shape
        return int(n_cells), int(n_genes)

    @property
    def n_varying(self) -> int:
        """Number of genes that are not constant; also the total variance of z."""
        return int(np.count_nonzero(self.inverse_sd))

    def scaled(self) -> sparse.csr_matrix:
        """Write x / sd as float64 CSR, not centred, sharing the index arrays of x."""
        values = np.empty(self.x.nnz)
        for piece in _pieces(self.x.nnz):
            np.multiply(self.x.data[piece], self.inverse_sd[self.x.indices[piece]], out=values[piece])
        return sparse.csr_matrix((values, self.x.indices, self.x.indptr), shape=self.x.shape)

    def project(self, weights: Float64Array) -> Float64Array:
        """Return z @ weights for weights of shape (n_genes, k): shape (n_cells, k)."""
        per_count = weights * self.inverse_sd[:, None]
        product = self.x @ per_count.astype(np.promote_types(self.x.dtype, np.float32))
        return np.asarray(product - self.mean @ per_count, dtype=np.float64)

    def dense_blocks(self, n_rows: int) -> Iterator[npt.NDArray[np.float32]]:
        """Yield z in dense blocks of at most `n_rows` cells, float32 in C order."""
        mean = self.mean.astype(np.float32)
        inverse_sd = self.inverse_sd.astype(np.float32)
        for start in range(0, self.shape[0], n_rows):
            block: npt.NDArray[np.float32] = self.x[start : start + n_rows].astype(np.float32).toarray()
            block -= mean
            block *= inverse_sd
            yield block


def standardise(x: sparse.csr_matrix) -> Standardised:
    """Measure mean and sd (ddof = 0) of each gene.

    Parameters
    ----------
    x
        CSR matrix of shape (n_cells, n_genes), usually log-normalised expression.

    Raises
    ------
    TypeError
        The matrix is not CSR.
    ValueError
        There are fewer than 2 cells, some entries are not finite, or all genes are constant.
    """
    if not sparse.issparse(x) or x.format != "csr":
        raise TypeError(f"the matrix is {type(x).__name__}; convert it with scipy.sparse.csr_matrix first.")
    n_cells, n_genes = x.shape
    if n_cells < 2:  # noqa: PLR2004 - a variance needs two values
        raise ValueError(f"{n_cells} cells are too few to standardise; at least 2 are needed.")
    # In pieces: float64 copies of all stored values would hold several times the matrix.
    not_finite = sum(int(np.count_nonzero(~np.isfinite(x.data[piece]))) for piece in _pieces(x.nnz))
    if not_finite:
        raise ValueError(f"{not_finite:,} of {x.nnz:,} stored entries are NaN or infinite; check the input counts.")
    sums, sum_squares = np.zeros(n_genes), np.zeros(n_genes)
    stored = np.zeros(n_genes, dtype=np.int64)
    for piece in _pieces(x.nnz):
        sums += np.bincount(x.indices[piece], weights=x.data[piece], minlength=n_genes)
        stored += np.bincount(x.indices[piece], minlength=n_genes)
    mean = sums / n_cells
    # Deviations first, squares second: sums of squares lose the variance of a gene with a high mean.
    for piece in _pieces(x.nnz):
        deviations = x.data[piece] - mean[x.indices[piece]]
        sum_squares += np.bincount(x.indices[piece], weights=deviations**2, minlength=n_genes)
    sum_squares += (n_cells - stored) * mean**2
    sd = np.sqrt(sum_squares / n_cells)
    sd[sd <= CONSTANT_RATIO * np.abs(mean)] = 0.0
    if not sd.any():
        raise ValueError(f"All {n_genes} genes are constant over the {n_cells} cells; nothing is left to reduce.")
    inverse_sd = np.divide(1.0, sd, out=np.zeros_like(sd), where=sd > 0)
    return Standardised(x, mean, sd, inverse_sd)


def _pieces(n_stored: int) -> Iterator[slice]:
    """Cut stored values into pieces of a fixed size."""
    for start in range(0, n_stored, PIECE):
        yield slice(start, min(start + PIECE, n_stored))
