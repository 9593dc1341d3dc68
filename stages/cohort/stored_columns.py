"""Turn a matrix that is stored by columns (CSC) into rows, in bounded memory.

A column holds values of all cells, so that one cell's values are all over the file. Every pass reads the file once and
keeps the values of as many consecutive rows as the bound allows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from stagewright.stages.cohort.counts_source import BLOCK_VALUES, block_bounds, index_dtype
from stagewright.stages.cohort.store import Element
from stagewright.stages.cohort.stored_rows import check_columns, row_pointers

__all__ = ["StoredColumns"]


@dataclass(frozen=True)
class StoredColumns:
    """Some rows of one CSC matrix of an open file.

    Attributes
    ----------
    element
        The matrix.
    rows
        Row numbers in rising order, shape (n_rows,).
    n_rows_stored, n_columns
        Shape of the matrix.
    """

    element: Element
    rows: NDArray[np.int64]
    n_rows_stored: int
    n_columns: int

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Stored values of each of the rows, shape (n_rows,): one pass over the stored row numbers."""
        found = np.zeros(len(self.rows), dtype=np.int64)
        for _, _, places in self._pieces(with_values=False):
            found += np.bincount(places[places >= 0], minlength=len(found))
        return found

    def ranges(self, most: int) -> Iterator[sparse.csr_matrix]:
        """Yield the rows in order, in CSR parts of at most `most` values; each part is one pass over the file."""
        for first, last in block_bounds(self.lengths, most):
            yield self._range(first, last)

    def _range(self, first: int, last: int) -> sparse.csr_matrix:
        lengths = self.lengths[first:last]
        n_stored = int(lengths.sum())
        small = index_dtype(max(n_stored, self.n_columns))
        indptr = np.zeros(len(lengths) + 1, dtype=np.int64)
        np.cumsum(lengths, out=indptr[1:])
        data = np.empty(n_stored, dtype=self.element["data"].dtype)
        indices = np.empty(n_stored, dtype=small)
        free = indptr[:-1].copy()  # where the next value of each row goes
        for columns, values, places in self._pieces(with_values=True):
            here = (places >= first) & (places < last)
            rows = places[here] - first
            # By row, and within a row by column as before: a stable sort.
            order = np.argsort(rows, kind="stable")
            sorted_rows = rows[order]
            counted = np.bincount(sorted_rows, minlength=len(lengths))
            within = np.arange(len(sorted_rows)) - np.repeat(np.cumsum(counted) - counted, counted)
            into = free[sorted_rows] + within
            data[into] = values[here][order]
            indices[into] = columns[here][order]
            free += counted
        return sparse.csr_matrix((data, indices, indptr.astype(small)), shape=(len(lengths), self.n_columns))

    def _pieces(
        self, *, with_values: bool
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.generic], NDArray[np.int64]]]:
        """Yield column, value and place among the rows (-1: none of them) of stored values, in their order."""
        indptr = row_pointers(self.element)
        place_of_row = np.full(self.n_rows_stored, -1, dtype=np.int64)
        place_of_row[self.rows] = np.arange(len(self.rows))
        n_stored = int(indptr[-1])
        for start in range(0, n_stored, BLOCK_VALUES):
            stop = min(start + BLOCK_VALUES, n_stored)
            stored_rows = np.asarray(self.element["indices"][start:stop]).astype(np.int64)
            check_columns(stored_rows, self.n_rows_stored, self.element)
            places = place_of_row[stored_rows]
            if not with_values:
                yield places, places, places
                continue
            columns = np.searchsorted(indptr, np.arange(start, stop), side="right") - 1
            yield columns, np.asarray(self.element["data"][start:stop]), places
