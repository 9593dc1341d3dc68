"""In how many cells a gene is detected, and in how many it has to be."""

import math
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from stagewright.stages.cohort.counts_source import Counts, as_source

__all__ = ["cells_per_gene", "least_cells"]


def least_cells(min_cells_fraction: float, n_cells: int) -> int:
    """Return ceil(min_cells_fraction * n_cells), at least 1.

    Raises
    ------
    ValueError
        The fraction is outside [0, 1].
    """
    if not 0 <= min_cells_fraction <= 1:
        raise ValueError(f"min_cells_fraction is {min_cells_fraction}; it is a share of cells in [0, 1], e.g. 0.01.")
    # The decimal that was written counts: in floating point 0.07 * 100 lies above 7 and would ask for 8 cells.
    return max(1, math.ceil(Fraction(repr(float(min_cells_fraction))) * n_cells))


def cells_per_gene(counts: Counts) -> npt.NDArray[np.int64]:
    """Return how many cells express each gene, shape (n_genes,)."""
    return as_source(counts).cells_per_gene
