"""How deeply each cell was sequenced: its library size and the genes detected in it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stagewright.stages.cohort.counts_source import CountsSource

__all__ = ["DETECTED_GENES", "LIBRARY_SIZE", "Depth", "depth_of"]

LIBRARY_SIZE, DETECTED_GENES = "stagewright_library_size", "stagewright_detected_genes"
"""The obs columns that carry it beside the embeddings; no classifier sees them."""


@dataclass(frozen=True, slots=True)
class Depth:
    """Of each cell, over all genes of the file, shape (n_cells,): the sum of its counts and its genes with a count."""

    library_size: NDArray[np.float64]
    detected_genes: NDArray[np.int64]


def depth_of(source: CountsSource) -> Depth:
    """Return the depth of cells from their raw counts."""
    detected = [np.asarray(block.count_nonzero(axis=1), dtype=np.int64) for block in source.blocks()]
    return Depth(source.totals, np.concatenate(detected or [np.zeros(0, dtype=np.int64)]))
