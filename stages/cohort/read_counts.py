"""Read a study's raw counts: into memory where they fit, else once from end to end, to check and to sum them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from stagewright.stages.cohort.count_checks import CountChecks
from stagewright.stages.cohort.counts_source import BLOCK_VALUES, CountsSource, as_source, index_dtype
from stagewright.stages.cohort.disk_counts import CountSums, StoredCounts, matrix_in, stamp_of, write_scratch
from stagewright.stages.cohort.guess_counts import guess_counts
from stagewright.stages.cohort.inspect_h5ad import list_matrices
from stagewright.stages.cohort.store import Store, is_array
from stagewright.stages.cohort.stored_columns import StoredColumns
from stagewright.stages.cohort.stored_rows import StoredRows

__all__ = ["BYTES_PER_VALUE", "CountsWanted", "read_counts"]

BYTES_PER_VALUE = 8
"""Of a count in memory: float32 with its int32 column."""


@dataclass(frozen=True, slots=True)
class CountsWanted:
    """Which counts are read.

    Attributes
    ----------
    path, location
        The data, and the matrix as `data.counts` names it.
    rows
        Row numbers in rising order, shape (n_cells,).
    cells, genes
        Names of the cells wanted and of all genes.
    most_bytes
        What the counts may hold of memory; more of them stay on the disk.
    scratch
        A folder for counts that have to be written anew; None for where temporary files go.
    """

    path: Path
    location: str
    rows: NDArray[np.int64]
    cells: pd.Index
    genes: pd.Index
    most_bytes: int
    scratch: Path | None = None


def read_counts(file: Store, wanted: CountsWanted) -> CountsSource:
    """Read counts of an open file or store in one pass that checks every value.

    Raises
    ------
    CountsUnusable
        Some values are no counts; how many, the first of them, and what to do.
    CohortUnreadable
        The matrix is damaged.
    """
    stamp = stamp_of(wanted.path, wanted.location)
    element = matrix_in(file, wanted.location)
    shape = (len(wanted.rows), len(wanted.genes))
    checks = CountChecks()
    by_columns = not is_array(element) and element.attrs.get("encoding-type") == "csc_matrix"
    stored: StoredColumns | StoredRows
    if by_columns:
        n_stored_rows = int(element.attrs["shape"][0])
        stored = StoredColumns(element, wanted.rows, n_stored_rows, shape[1])
    else:
        stored = StoredRows(element, wanted.rows, shape[1])
    n_values = int(stored.lengths.sum())
    in_memory = n_values * BYTES_PER_VALUE <= wanted.most_bytes
    part = max(BLOCK_VALUES, wanted.most_bytes // (2 * BYTES_PER_VALUE))
    parts = stored.ranges(part) if isinstance(stored, StoredColumns) else stored.blocks()
    blocks = map(checks.as_counts, parts)
    source: CountsSource
    if in_memory:
        source = as_source(_gather(blocks, shape, None if is_array(element) else n_values))
    else:
        sums = CountSums(np.zeros(shape[1], dtype=np.int64))
        if by_columns:
            source = write_scratch(blocks, sums, shape, wanted.scratch)
        else:
            for block in blocks:
                sums.add(block)
            totals = np.concatenate([*sums.totals, np.zeros(0)])
            source = StoredCounts(shape, totals, sums.cells_per_gene, wanted.path, wanted.location, wanted.rows, stamp)
    if checks.first is not None:
        checks.report(wanted.location, wanted.cells.to_numpy(), wanted.genes.to_numpy(), _hint(file, wanted.location))
    return source


def _gather(blocks: Iterator[sparse.csr_matrix], shape: tuple[int, int], n_values: int | None) -> sparse.csr_matrix:
    """Join blocks to one matrix; with the number of values known, each block is gone before the next is read."""
    if n_values is None:
        parts = [*blocks]
        joined = sparse.vstack(parts, format="csr", dtype=np.float32) if parts else sparse.csr_matrix(shape)
        return sparse.csr_matrix(joined, dtype=np.float32)
    small = index_dtype(max(n_values, shape[1]))
    data, indices = np.empty(n_values, dtype=np.float32), np.empty(n_values, dtype=small)
    indptr = np.zeros(shape[0] + 1, dtype=small)
    row = at = 0
    for block in blocks:
        stop = at + block.nnz
        data[at:stop], indices[at:stop] = block.data, block.indices
        indptr[row + 1 : row + 1 + block.shape[0]] = block.indptr[1:].astype(small) + small(at)
        row, at = row + block.shape[0], stop
    return sparse.csr_matrix((data[:at], indices[:at], indptr), shape=shape)


def _hint(file: Store, location: str) -> str:
    """Say which other matrix of the file looks like counts."""
    guess = guess_counts(file, [facts for facts in list_matrices(file) if facts["location"] != location])
    if guess["value"] is None:
        return "Point `data.counts` at the raw counts; no other matrix of this file looks like them."
    return (
        f"Point `data.counts` at the raw counts: {guess['value']} looks like them (set data.counts: {guess['value']})."
    )
