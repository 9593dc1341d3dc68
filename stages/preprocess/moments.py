"""Mean and variance of each gene."""

import numpy as np
import numpy.typing as npt

from stagewright.stages.cohort.counts_source import Counts, as_source
from stagewright.stages.preprocess.gene_passes import count_sums

__all__ = ["mean_and_variance", "variance_of"]


def mean_and_variance(counts: Counts) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return mean and variance (ddof = 1) of each gene, float64 of shape (n_genes,)."""
    source = as_source(counts)
    n_cells = source.shape[0]
    sums, squares = count_sums(source, np.zeros(n_cells, dtype=np.int64), 1)
    return sums[0] / n_cells, variance_of(sums[0], squares[0], n_cells)


def variance_of(
    sums: npt.NDArray[np.float64], squares: npt.NDArray[np.float64], n_cells: int
) -> npt.NDArray[np.float64]:
    """Return the variance (ddof = 1) of what adds up to given sums, and in squares to others."""
    mean = sums / n_cells
    variance: npt.NDArray[np.float64] = np.maximum(squares - n_cells * mean**2, 0) / max(n_cells - 1, 1)
    return variance
