"""Statistics of each gene, taken in passes over blocks of cells.

Sums of whole numbers below 2**53 are exact in float64, so that none of them depends on where the blocks begin.
"""

from collections.abc import Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from stagewright.stages.cohort.counts_source import CountsSource

__all__ = ["cells_per_gene_among", "clipped_sums", "count_sums"]

Float64Array = NDArray[np.float64]

OfCell = TypeVar("OfCell", bound=np.generic)


def cells_per_gene_among(source: CountsSource, chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Count the chosen cells with a count of each gene.

    Parameters
    ----------
    chosen
        Which cells are looked at, shape (n_cells,).

    Returns
    -------
    Array of shape (n_genes,).
    """
    found = np.zeros(source.shape[1], dtype=np.int64)
    for block, here in _with_rows(source, chosen):
        kept = block.indices[np.repeat(here, np.diff(block.indptr)) & (block.data != 0)]
        found += np.bincount(kept, minlength=len(found))
    return found


def count_sums(source: CountsSource, groups: NDArray[np.int64], n_groups: int) -> tuple[Float64Array, Float64Array]:
    """Add up the counts, and their squares, of each gene in each group of cells.

    Parameters
    ----------
    groups
        Group of each cell, 0 to n_groups - 1; a cell of group -1 is left out. Shape (n_cells,).

    Returns
    -------
    Two arrays of shape (n_groups, n_genes).
    """
    n_genes = source.shape[1]
    sums, squares = np.zeros((n_groups, n_genes)), np.zeros((n_groups, n_genes))
    for block, here in _with_rows(source, groups):
        for group in np.unique(here[here >= 0]).tolist():
            part = block if (here == group).all() else block[here == group]
            values = part.data.astype(np.float64)
            sums[group] += np.bincount(part.indices, weights=values, minlength=n_genes)
            squares[group] += np.bincount(part.indices, weights=values**2, minlength=n_genes)
    return sums, squares


def clipped_sums(
    source: CountsSource, groups: NDArray[np.int64], clip: Float64Array
) -> tuple[Float64Array, Float64Array]:
    """Add up the counts, and their squares, of each gene in each group, after clipping them from above.

    Parameters
    ----------
    groups
        As in `count_sums`.
    clip
        The largest value that counts in full, shape (n_groups, n_genes).

    Returns
    -------
    Two arrays of shape (n_groups, n_genes).
    """
    n_groups, n_genes = clip.shape
    sums, squares, clipped = (np.zeros((n_groups, n_genes)) for _ in range(3))
    for block, here in _with_rows(source, groups):
        for group in np.unique(here[here >= 0]).tolist():
            part = block if (here == group).all() else block[here == group]
            values = part.data.astype(np.float64)
            above = values > clip[group, part.indices]
            # What is clipped is counted and multiplied at the end: the sums themselves stay exact.
            clipped[group] += np.bincount(part.indices[above], minlength=n_genes)
            values[above] = 0.0
            sums[group] += np.bincount(part.indices, weights=values, minlength=n_genes)
            squares[group] += np.bincount(part.indices, weights=values**2, minlength=n_genes)
    return sums + clipped * clip, squares + clipped * clip**2


def _with_rows(source: CountsSource, by_cell: NDArray[OfCell]) -> Iterator[tuple[sparse.csr_matrix, NDArray[OfCell]]]:
    """Yield each block with the values that belong to its cells."""
    row = 0
    for block in source.blocks():
        end = row + block.shape[0]
        yield block, by_cell[row:end]
        row = end
