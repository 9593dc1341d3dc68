"""Mean and variance of each gene of a sparse matrix."""

import numpy as np
import numpy.typing as npt
from scipy import sparse

__all__ = ["mean_and_variance"]


def mean_and_variance(counts: sparse.csr_matrix) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return mean and variance (ddof = 1) of each gene, float64 of shape (n_genes,)."""
    n_cells, n_genes = counts.shape
    values = counts.data.astype(np.float64)
    mean = np.bincount(counts.indices, weights=values, minlength=n_genes) / n_cells
    squares = np.bincount(counts.indices, weights=values**2, minlength=n_genes)
    return mean, np.maximum(squares - n_cells * mean**2, 0) / max(n_cells - 1, 1)
