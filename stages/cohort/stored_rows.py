"""Read rows of a stored matrix, CSR or dense, in blocks: never more of it in memory than one block."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from stagewright.stages.cohort.counts_source import BLOCK_VALUES, block_bounds, index_dtype
from stagewright.stages.cohort.store import Element, is_array, place_of
from stagewright.stages.cohort.unreadable import CohortUnreadable

__all__ = ["StoredRows", "check_columns", "row_pointers"]

NEAR_VALUES = 2**13
"""Values between two rows that are read along where the store has no chunks: cheaper than a second request."""


@dataclass(frozen=True)
class StoredRows:
    """Some rows of one matrix of an open file.

    Attributes
    ----------
    element
        The matrix: a CSR group or a dense array.
    rows
        Row numbers in rising order, shape (n_rows,).
    n_columns
        Columns of the matrix.
    """

    element: Element
    rows: NDArray[np.int64]
    n_columns: int

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Stored values of each of the rows, shape (n_rows,); of a dense matrix all of them."""
        if is_array(self.element):
            return np.full(len(self.rows), self.n_columns, dtype=np.int64)
        return self._starts[1] - self._starts[0]

    def blocks(self) -> Iterator[sparse.csr_matrix]:
        """Yield the rows in order, in CSR blocks of the stored dtype."""
        for first, last in block_bounds(self.lengths):
            yield self._dense(first, last) if is_array(self.element) else self._sparse(first, last)

    @cached_property
    def _starts(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """First and last (exclusive) stored value of each row."""
        indptr = row_pointers(self.element)
        return indptr[self.rows], indptr[self.rows + 1]

    def _sparse(self, first: int, last: int) -> sparse.csr_matrix:
        starts, stops = (ends[first:last] for ends in self._starts)
        lengths = stops - starts
        indptr = np.zeros(len(lengths) + 1, dtype=np.int64)
        np.cumsum(lengths, out=indptr[1:])
        stored, columns = self.element["data"], self.element["indices"]
        data = np.empty(int(indptr[-1]), dtype=stored.dtype)
        indices = np.empty(len(data), dtype=np.int64)
        # Rows that lie near each other are read as one piece, with what lies between them.
        apart = np.flatnonzero(starts[1:] - stops[:-1] > _near(stored)) + 1
        bounds = [0, *apart.tolist(), len(lengths)]
        for low, high in pairwise(bounds):
            for part, end in _spans(starts, stops, low, high):
                begin, finish = int(starts[part]), int(stops[end - 1])
                wanted = _wanted(starts[part:end], stops[part:end])
                into = slice(int(indptr[part]), int(indptr[end]))
                data[into] = np.asarray(stored[begin:finish])[wanted]
                indices[into] = np.asarray(columns[begin:finish])[wanted]
        check_columns(indices, self.n_columns, self.element)
        small = index_dtype(max(len(data), self.n_columns))
        return sparse.csr_matrix(
            (data, indices.astype(small), indptr.astype(small)), shape=(last - first, self.n_columns)
        )

    def _dense(self, first: int, last: int) -> sparse.csr_matrix:
        rows = self.rows[first:last]
        if rows[-1] - rows[0] + 1 <= 2 * len(rows):
            values = np.asarray(self.element[int(rows[0]) : int(rows[-1]) + 1])[rows - rows[0]]
        else:
            values = np.stack([np.asarray(self.element[int(row)]) for row in rows])
        return sparse.csr_matrix(values)


def row_pointers(element: Element) -> NDArray[np.int64]:
    """Read where each compressed row (or column, of CSC) begins.

    Raises
    ------
    CohortUnreadable
        They do not fit the stored values.
    """
    indptr = np.asarray(element["indptr"][:]).astype(np.int64)
    n_stored = int(element["data"].shape[0])
    if len(indptr) == 0 or indptr[0] != 0 or indptr[-1] > n_stored or (np.diff(indptr) < 0).any():
        raise CohortUnreadable(
            f"{place_of(element)}: {element.name} is damaged (its row pointers do not fit its {n_stored:,} values); "
            "copy or write it again"
        )
    return indptr


def check_columns(indices: NDArray[np.int64], bound: int, element: Element) -> None:
    """Check that stored positions lie within the matrix: scipy would read or write beside its arrays.

    Raises
    ------
    CohortUnreadable
        One does not.
    """
    if len(indices) and (indices.min() < 0 or indices.max() >= bound):
        raise CohortUnreadable(
            f"{place_of(element)}: {element.name} is damaged (an index is outside 0 to {bound - 1}); copy or "
            "write it again"
        )


def _near(stored: Element) -> int:
    chunks = getattr(stored, "chunks", None)
    return NEAR_VALUES if chunks is None else max(NEAR_VALUES, min(int(chunks[0]), BLOCK_VALUES))


def _spans(starts: NDArray[np.int64], stops: NDArray[np.int64], low: int, high: int) -> Iterator[tuple[int, int]]:
    """Cut rows that are read as one piece where the piece grows too large for the gaps in it."""
    while low < high:
        end = int(np.searchsorted(stops[low:high], starts[low] + 2 * BLOCK_VALUES, side="right")) + low
        end = max(end, low + 1)
        yield low, end
        low = end


def _wanted(starts: NDArray[np.int64], stops: NDArray[np.int64]) -> NDArray[np.bool_] | slice:
    """Return which values of a piece belong to the rows; all of them where nothing lies between."""
    if (starts[1:] == stops[:-1]).all():
        return slice(None)
    # Rows and the gaps after them take turns.
    lengths = np.empty(2 * len(starts) - 1, dtype=np.int64)
    lengths[::2] = stops - starts
    lengths[1::2] = starts[1:] - stops[:-1]
    return np.repeat(np.arange(len(lengths)) % 2 == 0, lengths)
