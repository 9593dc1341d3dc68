"""What a reduction needs of a standardised matrix, whatever its scale: sparse logs, or residuals that are dense."""

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from scipy import sparse

__all__ = ["SparseView", "View"]

Float64Array = npt.NDArray[np.float64]


class View(Protocol):
    """A matrix z of cells x genes, each gene centred and scaled to variance 1, that is never held as a whole.

    Principal components and factor analysis need no more than this.
    """

    @property
    def shape(self) -> tuple[int, int]:
        """(n_cells, n_genes)."""
        ...

    @property
    def n_varying(self) -> int:
        """Number of genes that are not constant; also the total variance of z."""
        ...

    @property
    def mean(self) -> Float64Array:
        """Mean of each gene on the scale that is standardised, shape (n_genes,)."""
        ...

    @property
    def sd(self) -> Float64Array:
        """Standard deviation of each gene (ddof = 0), shape (n_genes,); exactly 0 for a constant gene."""
        ...

    @property
    def inverse_sd(self) -> Float64Array:
        """1 / sd, and 0 for a constant gene: its column of z is zero."""
        ...

    def dense_blocks(self, n_rows: int) -> Iterator[npt.NDArray[np.float32]]:
        """Yield z in dense blocks of at most `n_rows` cells, float32 in C order."""
        ...

    def project(self, weights: Float64Array) -> Float64Array:
        """Return z @ weights for weights of shape (n_genes, k): shape (n_cells, k)."""
        ...


@runtime_checkable
class SparseView(View, Protocol):
    """A view of a sparse matrix: z = scaled() - mean / sd. It can be multiplied without dense blocks."""

    def scaled(self) -> sparse.csr_matrix:
        """Write x / sd as float64 CSR of shape (n_cells, n_genes), not centred."""
        ...
