"""How deeply each cell was sequenced: its library size and the genes detected in it."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

__all__ = ["DETECTED_GENES", "LIBRARY_SIZE", "Depth", "depth_of"]

LIBRARY_SIZE, DETECTED_GENES = "stagewright_library_size", "stagewright_detected_genes"
"""The obs columns that carry it beside the embeddings; no classifier sees them."""


@dataclass(frozen=True, slots=True)
class Depth:
    """Of each cell, over all genes of the file, shape (n_cells,): the sum of its counts and its genes with a count."""

    library_size: NDArray[np.float64]
    detected_genes: NDArray[np.int64]


def depth_of(counts: sp.csr_matrix) -> Depth:
    """Return the depth of cells from raw counts, CSR of shape (n_cells, n_genes)."""
    library_size = np.asarray(counts.sum(axis=1, dtype=np.float64)).ravel()
    return Depth(library_size, np.asarray(counts.count_nonzero(axis=1), dtype=np.int64))
