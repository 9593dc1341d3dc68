"""The same counts come out of every way of storing them, in memory and from the disk."""

import warnings
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from stagewright.stages.cohort import counts_source, read_counts, stored_columns, stored_rows
from stagewright.stages.cohort.counts_source import MemoryCounts
from stagewright.stages.cohort.open_data import open_data
from stagewright.stages.cohort.read_counts import CountsWanted
from stagewright.stages.cohort.stored_rows import StoredRows
from stagewright.stages.cohort.unreadable import CohortUnreadable

N_CELLS, N_GENES = 90, 23
IN_MEMORY, ON_DISK = 2**30, 0
ROWS = np.flatnonzero(np.arange(N_CELLS) % 7 != 3)
STORED = [
    "csr",
    "csc",
    "dense",
    "float64",
    "int32",
    "uint16",
    "raw",
    "layer",
    "gzip",
    "lzf",
    "zeros",
    "unsorted",
    "zarr2",
    "zarr3",
]


@pytest.fixture(scope="module")
def counts() -> sparse.csr_matrix:
    """Draw counts with an empty cell and an empty gene."""
    found = np.random.default_rng(2).poisson(0.4, size=(N_CELLS, N_GENES)).astype(np.float32)
    found[5], found[:, 4] = 0, 0
    return sparse.csr_matrix(found)


def _stored(folder: Path, counts: sparse.csr_matrix, how: str) -> tuple[Path, str]:
    """Write the counts in one way; return the file and the place of the matrix."""
    x = {
        "csc": counts.tocsc(),
        "dense": counts.toarray(),
        "float64": counts.astype(np.float64),
        "int32": counts.astype(np.int32),
        "uint16": counts.astype(np.uint16).toarray(),
    }.get(how, counts.copy())
    if how == "unsorted":  # as other programs write it
        for row in range(N_CELLS):
            part = slice(x.indptr[row], x.indptr[row + 1])
            x.indices[part], x.data[part] = x.indices[part][::-1].copy(), x.data[part][::-1].copy()
    if how == "zeros":
        x.data = np.where(np.arange(x.nnz) % 5 == 0, 0, x.data).astype(np.float32)
    data = anndata.AnnData(x, var=pd.DataFrame(index=[f"g{number}" for number in range(N_GENES)]))
    if how == "raw":
        data.raw = data.copy()
        data = data[:, :3].copy()
    if how == "layer":
        data.layers["counts"], data.X = data.X, None
        data.X = sparse.csr_matrix(counts.shape, dtype=np.float32)
    if how.startswith("zarr"):
        with warnings.catch_warnings(), anndata.settings.override(zarr_write_format=int(how[-1])):
            warnings.simplefilter("ignore")  # that format 3 comes, and that its texts are not settled
            data.write_zarr(folder / "cohort.zarr")
        return folder / "cohort.zarr", "X"
    data.write_h5ad(folder / "cohort.h5ad", compression=how if how in ("gzip", "lzf") else None)
    return folder / "cohort.h5ad", {"raw": "raw", "layer": "layers/counts"}.get(how, "X")


@pytest.mark.parametrize("how", STORED)
def test_counts_do_not_depend_on_how_they_are_stored(
    tmp_path: Path, counts: sparse.csr_matrix, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some rows of each, in memory and from the disk in blocks of a few cells: the same sorted CSR, and its sums."""
    monkeypatch.setattr(counts_source.block_bounds, "__defaults__", (50,))
    monkeypatch.setattr(stored_columns, "BLOCK_VALUES", 64)
    monkeypatch.setattr(read_counts, "BLOCK_VALUES", 100)
    path, location = _stored(tmp_path, counts, how)
    expected = counts.copy()
    if how == "zeros":
        expected.data = np.where(np.arange(expected.nnz) % 5 == 0, 0, expected.data)
        expected.eliminate_zeros()
    expected = expected[ROWS]
    names = pd.Index([f"c{row}" for row in ROWS]), pd.Index([f"g{number}" for number in range(N_GENES)])
    for most in (IN_MEMORY, ON_DISK):
        with open_data(path) as file:
            source = read_counts.read_counts(file, CountsWanted(path, location, ROWS, *names, most, tmp_path))
        assert isinstance(source, MemoryCounts) == (most == IN_MEMORY)
        blocks = [*source.blocks()]
        assert len(blocks) > 3
        for block in blocks:
            assert block.dtype == np.float32
            assert block.has_canonical_format
            assert block.data.all()
        np.testing.assert_array_equal(sparse.vstack(blocks).toarray(), expected.toarray())
        np.testing.assert_array_equal(source.totals, expected.sum(axis=1).A1)
        np.testing.assert_array_equal(source.cells_per_gene, (expected.toarray() > 0).sum(axis=0))
        assert source.n_nonzero == expected.nnz
        assert source.shape == expected.shape


@pytest.mark.parametrize("part", ["indices", "indptr"])
@pytest.mark.parametrize("how", ["csr", "csc"])
def test_positions_outside_the_matrix(tmp_path: Path, counts: sparse.csr_matrix, how: str, part: str) -> None:
    """A damaged index is told; nothing is read or written beside an array."""
    path, _ = _stored(tmp_path, counts, how)
    with h5py.File(path, "r+") as file:
        file[f"X/{part}"][2] = 10_000
    names = pd.Index([f"c{row}" for row in ROWS]), pd.Index([f"g{number}" for number in range(N_GENES)])
    with open_data(path) as file, pytest.raises(CohortUnreadable, match="damaged"):
        read_counts.read_counts(file, CountsWanted(path, "X", ROWS, *names, IN_MEMORY))


class _Watched:
    """A stored array that remembers what was read of it."""

    def __init__(self, values: np.ndarray) -> None:
        self.values, self.dtype, self.shape, self.chunks = values, values.dtype, values.shape, (16,)
        self.read: list[tuple[int, int]] = []

    def __getitem__(self, part: slice) -> np.ndarray:
        self.read.append((part.start, part.stop))
        return self.values[part]


def test_only_what_lies_near_the_rows_is_read(counts: sparse.csr_matrix, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows far apart are read one by one, neighbours in one piece, of which the gaps are left out again."""
    monkeypatch.setattr(stored_rows, "NEAR_VALUES", 16)
    rows = np.array([0, 1, 3, 60, 89])
    element = {"data": _Watched(counts.data), "indices": _Watched(counts.indices), "indptr": counts.indptr}
    blocks = [*StoredRows(element, rows, N_GENES).blocks()]
    np.testing.assert_array_equal(sparse.vstack(blocks).toarray(), counts[rows].toarray())
    starts = counts.indptr
    assert element["data"].read == [(starts[0], starts[4]), (starts[60], starts[61]), (starts[89], starts[90])]
    assert element["indices"].read == element["data"].read
