"""Raw counts that are read in blocks of cells: held in memory where they fit, read again from the disk where not.

A pass over the blocks sees every cell once, in order. What is computed from counts in such passes (sums of whole
numbers, ranks) is exact, so that it does not depend on where the blocks begin, nor on which source gives them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

__all__ = ["BLOCK_VALUES", "Counts", "CountsSource", "GeneSubset", "MemoryCounts", "as_source", "index_dtype"]

BLOCK_VALUES = 2**22
"""Stored values of one block: 32 MiB as float32 with int32 columns, and a few times that while it is looked at."""


class CountsSource(Protocol):
    """Raw counts of the cells of a cohort."""

    @property
    def shape(self) -> tuple[int, int]:
        """(n_cells, n_genes)."""
        ...

    @property
    def n_nonzero(self) -> int:
        """Number of counts that are not zero."""
        ...

    @property
    def totals(self) -> NDArray[np.float64]:
        """Counts of each cell over all genes, shape (n_cells,)."""
        ...

    @property
    def cells_per_gene(self) -> NDArray[np.int64]:
        """Number of cells with a count of each gene, shape (n_genes,)."""
        ...

    def blocks(self) -> Iterator[sparse.csr_matrix]:
        """Yield the cells in order, in CSR float32 blocks of shape (some, n_genes) without stored zeros."""
        ...


@dataclass(frozen=True)
class MemoryCounts:
    """Counts that are held in memory.

    Attributes
    ----------
    matrix
        CSR of shape (n_cells, n_genes).
    """

    matrix: sparse.csr_matrix

    @property
    def shape(self) -> tuple[int, int]:
        """(n_cells, n_genes)."""
        n_cells, n_genes = self.matrix.shape
        return int(n_cells), int(n_genes)

    @cached_property
    def n_nonzero(self) -> int:
        """Number of counts that are not zero."""
        return int(self.matrix.count_nonzero())

    @cached_property
    def totals(self) -> NDArray[np.float64]:
        """Counts of each cell over all genes, shape (n_cells,)."""
        return np.concatenate([cell_totals(block) for block in self.blocks()] or [np.zeros(0)])

    @cached_property
    def cells_per_gene(self) -> NDArray[np.int64]:
        """Number of cells with a count of each gene, shape (n_genes,)."""
        found = np.zeros(self.shape[1], dtype=np.int64)
        for block in self.blocks():
            found += gene_cells(block)
        return found

    def blocks(self) -> Iterator[sparse.csr_matrix]:
        """Yield the cells in order, in blocks that share the memory of the matrix."""
        indptr = self.matrix.indptr
        for first, last in block_bounds(np.diff(indptr)):
            start, stop = int(indptr[first]), int(indptr[last])
            yield sparse.csr_matrix(
                (self.matrix.data[start:stop], self.matrix.indices[start:stop], indptr[first : last + 1] - start),
                shape=(last - first, self.shape[1]),
            )


@dataclass(frozen=True)
class GeneSubset:
    """Some genes of other counts, as if there were no others.

    Attributes
    ----------
    whole
        Counts of all genes.
    genes
        Numbers of the genes that are kept, in rising order.
    """

    whole: CountsSource
    genes: NDArray[np.intp]

    @property
    def shape(self) -> tuple[int, int]:
        """(n_cells, number of genes kept)."""
        return self.whole.shape[0], len(self.genes)

    @property
    def n_nonzero(self) -> int:
        """Number of counts that are not zero."""
        return int(self.cells_per_gene.sum())

    @cached_property
    def totals(self) -> NDArray[np.float64]:
        """Counts of each cell over the genes kept, shape (n_cells,)."""
        return np.concatenate([cell_totals(block) for block in self.blocks()] or [np.zeros(0)])

    @property
    def cells_per_gene(self) -> NDArray[np.int64]:
        """Number of cells with a count of each gene kept."""
        return self.whole.cells_per_gene[self.genes]

    def blocks(self) -> Iterator[sparse.csr_matrix]:
        """Yield the cells in order, in blocks of the genes kept."""
        for block in self.whole.blocks():
            yield block[:, self.genes]


Counts: TypeAlias = "sparse.csr_matrix | CountsSource"
"""A matrix in memory, or counts that are read in blocks."""


def as_source(counts: Counts) -> CountsSource:
    """Return counts as what gives them in blocks."""
    # Its cached properties are properties, which pyright does not see.
    return MemoryCounts(counts) if sparse.issparse(counts) else counts  # pyright: ignore[reportReturnType]


def block_bounds(lengths: NDArray[np.integer], most: int = BLOCK_VALUES) -> Iterator[tuple[int, int]]:
    """Yield first and last (exclusive) row of blocks with at most `most` stored values, and at least one row each.

    >>> list(block_bounds(np.array([3, 3, 9, 1, 1]), 6))
    [(0, 2), (2, 3), (3, 5)]
    """
    ends = np.cumsum(lengths, dtype=np.int64)
    first = 0
    while first < len(ends):
        before = int(ends[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(ends, before + most, side="right")))
        yield first, last
        first = last


def cell_totals(block: sparse.csr_matrix) -> NDArray[np.float64]:
    """Sum of each row in float64, which is exact for whole numbers."""
    totals: NDArray[np.float64] = block @ np.ones(block.shape[1])
    return totals


def gene_cells(block: sparse.csr_matrix) -> NDArray[np.int64]:
    """Count the rows with a value of each column that is not zero."""
    columns = block.indices if block.data.all() else block.indices[block.data != 0]
    return np.bincount(columns, minlength=block.shape[1])


def index_dtype(n_stored: int) -> type[np.int32 | np.int64]:
    """Return the smaller index type that a CSR matrix of so many stored values can have."""
    return np.int32 if n_stored <= np.iinfo(np.int32).max else np.int64
