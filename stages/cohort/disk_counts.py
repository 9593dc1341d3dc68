"""Raw counts that do not fit in memory: read again from the disk for each pass over them."""

import errno
import os
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, TypeAlias, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from stagewright.stages.cohort.count_checks import CountChecks
from stagewright.stages.cohort.counts_source import block_bounds, cell_totals, gene_cells, index_dtype
from stagewright.stages.cohort.open_data import open_data
from stagewright.stages.cohort.store import Store
from stagewright.stages.cohort.stored_rows import StoredRows
from stagewright.stages.cohort.unreadable import CohortUnreadable

__all__ = ["CountSums", "ScratchCounts", "StoredCounts", "matrix_in", "stamp_of", "write_scratch"]


T = TypeVar("T", bound=np.generic)
Stamp: TypeAlias = tuple[int, int, int]
"""Number of files, bytes in them, and the newest time that one was written, in ns."""


@dataclass(slots=True)
class CountSums:
    """What the first pass over the counts adds up.

    Attributes
    ----------
    totals
        Counts of each cell over all genes, one array for each block.
    cells_per_gene
        Number of cells with a count of each gene, shape (n_genes,).
    """

    cells_per_gene: NDArray[np.int64]
    totals: list[NDArray[np.float64]] = field(default_factory=list)

    def add(self, block: sparse.csr_matrix) -> None:
        """Add a block of cells."""
        self.cells_per_gene += gene_cells(block)
        self.totals.append(cell_totals(block))


@dataclass(frozen=True, slots=True)
class _Summed:
    """What is known of counts once they were read."""

    shape: tuple[int, int]
    totals: NDArray[np.float64]
    cells_per_gene: NDArray[np.int64]

    @property
    def n_nonzero(self) -> int:
        """Number of counts that are not zero."""
        return int(self.cells_per_gene.sum())


@dataclass(frozen=True, slots=True)
class StoredCounts(_Summed):
    """Rows of a CSR or dense matrix in a data file.

    Attributes
    ----------
    path, location
        The file, and the matrix as `data.counts` names it.
    rows
        Row numbers in rising order, shape (n_cells,).
    stamp
        Of the matrix when it was compared with its seal, from `stamp_of`.
    """

    path: Path
    location: str
    rows: NDArray[np.int64]
    stamp: Stamp

    def blocks(self) -> Iterator[sparse.csr_matrix]:
        """Yield the cells in order, in CSR float32 blocks; opens the file for one pass.

        Raises
        ------
        CohortUnreadable
            The file was changed since it was compared with its seal.
        """
        if stamp_of(self.path, self.location) != self.stamp:
            raise CohortUnreadable(
                f"{self.path}: was changed while the step was reading it; put back the file that was sealed at planning"
            )
        with open_data(self.path) as file:
            checks = CountChecks()  # they passed once; what is wanted here is the conversion
            for block in StoredRows(matrix_in(file, self.location), self.rows, self.shape[1]).blocks():
                yield checks.as_counts(block)


@dataclass(frozen=True)
class ScratchCounts(_Summed):
    """Counts that were written by rows into two files without a name, which end with the process.

    Attributes
    ----------
    data, indices
        Values as float32, and their columns as int32, one row after the other.
    indptr
        Where each row begins, shape (n_cells + 1,).
    """

    data: BinaryIO
    indices: BinaryIO
    indptr: NDArray[np.int64]

    def __post_init__(self) -> None:
        """Let go of the files with the counts."""
        for file in (self.data, self.indices):
            weakref.finalize(self, file.close)

    def blocks(self) -> Iterator[sparse.csr_matrix]:
        """Yield the cells in order, in CSR float32 blocks."""
        for first, last in block_bounds(np.diff(self.indptr)):
            start, stop = int(self.indptr[first]), int(self.indptr[last])
            indptr = (self.indptr[first : last + 1] - start).astype(index_dtype(stop - start))
            values = _read(self.data, start, stop, np.float32)
            columns = _read(self.indices, start, stop, np.int32)
            yield sparse.csr_matrix((values, columns, indptr), shape=(last - first, self.shape[1]))


def stamp_of(path: Path, location: str) -> Stamp:
    """Return what tells cheaply whether a matrix was written to.

    That of an h5ad file is the file's own. A zarr store has a file for each chunk, and a folder does not change when a
    file in it is written again.
    """
    parts = [path] if path.is_file() else [part for part in (path / _name_of(location)).rglob("*") if part.is_file()]
    found = [part.stat() for part in parts]
    return len(found), sum(one.st_size for one in found), max((one.st_mtime_ns for one in found), default=0)


def matrix_in(file: Store, location: str) -> Store:
    """Return the matrix that `data.counts` names."""
    return file[_name_of(location)]


def _name_of(location: str) -> str:
    """Return the name that a matrix has in the file or store."""
    return "raw/X" if location == "raw" else location


def _unnamed(folder: Path | None) -> BinaryIO:
    """Open a file without a name, which takes no room once the process is gone, however it ends."""
    return cast("BinaryIO", tempfile.TemporaryFile(dir=folder, prefix="stagewright-counts-"))


def _read(file: BinaryIO, start: int, stop: int, dtype: type[T]) -> NDArray[T]:
    """Read items `start` to `stop` of a file, whatever other threads read."""
    size = np.dtype(dtype).itemsize
    parts: list[bytes] = []
    at, end = start * size, stop * size
    while at < end:
        part = os.pread(file.fileno(), end - at, at)
        if not part:
            raise OSError(errno.EIO, "counts that were set aside on the disk end too early")
        parts.append(part)
        at += len(part)
    return np.frombuffer(b"".join(parts), dtype=dtype)


def write_scratch(
    blocks: Iterable[sparse.csr_matrix], sums: CountSums, shape: tuple[int, int], folder: Path | None
) -> ScratchCounts:
    """Write counts by rows into two unnamed files in a folder; None for where temporary files go."""
    data, indices = (_unnamed(folder) for _ in range(2))
    lengths: list[NDArray[np.integer]] = [np.zeros(1, dtype=np.int64)]
    for block in blocks:
        sums.add(block)
        block.data.astype(np.float32, copy=False).tofile(data)
        block.indices.astype(np.int32, copy=False).tofile(indices)
        lengths.append(np.diff(block.indptr))
    for file in (data, indices):
        file.flush()
    indptr = np.cumsum(np.concatenate(lengths), dtype=np.int64)
    totals = np.concatenate([*sums.totals, np.zeros(0)])
    return ScratchCounts(shape, totals, sums.cells_per_gene, data, indices, indptr)
