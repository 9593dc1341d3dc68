"""Write simulated cohorts of any size straight to an h5ad file, block by block: the matrix is never held.

A cell's transcripts are drawn one by one from a mixture of gene programmes, of which one is raised in malignant cells.
"""

from pathlib import Path

import anndata.io
import h5py
import numba
import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["write_large_cohort"]

BLOCK_CELLS = 20_000
PROGRAMMES = 8
"""Gene programmes; the last one is raised in malignant cells."""
PROGRAMME_SHARE = 0.05
"""Share of the genes that a programme has."""
DEPTH_SPREAD = 0.4
CHUNK = 2**18


def write_large_cohort(
    path: Path, *, n_cells: int, n_genes: int, depth: int, n_patients: int = 12, seed: int = 0
) -> int:
    """Write raw counts (CSR float32, not compressed) with `patient` and `label`; return the number of stored values.

    Parameters
    ----------
    depth
        Transcripts of a median cell.
    """
    rng = np.random.default_rng(seed)
    tables = _alias_tables(_distributions(rng, n_genes))
    patient = np.arange(n_cells) * n_patients // n_cells
    malignant = rng.random(n_cells) < 0.3
    with h5py.File(path, "w") as file:
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        x = file.create_group("X")
        x.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": [n_cells, n_genes]})
        data = x.create_dataset("data", (0,), np.float32, maxshape=(None,), chunks=(CHUNK,))
        indices = x.create_dataset("indices", (0,), np.int32, maxshape=(None,), chunks=(CHUNK,))
        lengths = [np.zeros(1, dtype=np.int64)]
        for start in range(0, n_cells, BLOCK_CELLS):
            here = slice(start, min(start + BLOCK_CELLS, n_cells))
            n_here = here.stop - start
            n_transcripts = np.maximum(1, depth * rng.lognormal(sigma=DEPTH_SPREAD, size=n_here)).astype(np.int64)
            usage = rng.dirichlet(np.full(PROGRAMMES, 0.5), size=n_here) * 0.5
            usage[:, -1] *= np.where(malignant[here], 1.0, 0.4)
            block = _draw(rng, n_transcripts, usage.cumsum(axis=1), *tables)
            for dataset, values in ((data, block[0]), (indices, block[1])):
                dataset.resize((len(dataset) + len(values),))
                dataset[len(dataset) - len(values) :] = values
            lengths.append(block[2])
        indptr = np.cumsum(np.concatenate(lengths), dtype=np.int64)
        x.create_dataset("indptr", data=indptr)
        obs = pd.DataFrame(
            {
                "patient": pd.Categorical([f"P{number:02d}" for number in range(n_patients)])[patient],
                "label": pd.Categorical(["malignant", "normal"])[np.where(malignant, 0, 1)],
            },
            index=pd.Index([f"cell{number}" for number in range(n_cells)]),
        )
        anndata.io.write_elem(file, "obs", obs)
        anndata.io.write_elem(file, "var", pd.DataFrame(index=[f"gene{number}" for number in range(n_genes)]))
    return int(indptr[-1])


def _distributions(rng: np.random.Generator, n_genes: int) -> NDArray[np.float64]:
    """Draw the programmes, and last the baseline: rows of shape (n_genes,) that sum to 1."""
    rows = np.zeros((PROGRAMMES + 1, n_genes))
    for row in range(PROGRAMMES):
        genes = rng.choice(n_genes, size=max(5, int(PROGRAMME_SHARE * n_genes)), replace=False)
        rows[row, genes] = rng.gamma(2.0, size=len(genes))
    rows[-1] = rng.lognormal(sigma=1.5, size=n_genes)
    return rows / rows.sum(axis=1, keepdims=True)


def _alias_tables(rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Prepare Walker's alias method: one uniform number gives one gene."""
    n_genes = rows.shape[1]
    keep, other = np.ones_like(rows), np.tile(np.arange(n_genes), (len(rows), 1))
    for row, weights in enumerate(rows * n_genes):
        left = weights.copy()
        small, large = [*np.flatnonzero(left < 1)], [*np.flatnonzero(left >= 1)]
        while small and large:
            less, more = small.pop(), large[-1]
            keep[row, less], other[row, less] = left[less], more
            left[more] -= 1 - left[less]
            if left[more] < 1:
                small.append(large.pop())
    return keep, other


@numba.njit(nogil=True)
def _draw(rng, n_transcripts, usage, keep, other):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - compiled
    """Draw the counts of a block of cells; return values, columns, and the number of values of each cell."""
    n_genes = keep.shape[1]
    most = 0
    for cell in range(len(n_transcripts)):
        most += min(n_transcripts[cell], n_genes)
    values, columns = np.empty(most, np.float32), np.empty(most, np.int32)
    lengths = np.empty(len(n_transcripts), np.int64)
    counts = np.zeros(n_genes, np.int32)
    touched = np.empty(n_genes, np.int32)
    at = 0
    for cell in range(len(n_transcripts)):
        n_touched = 0
        for _ in range(n_transcripts[cell]):
            which = rng.random()
            programme = 0
            while programme < usage.shape[1] and which >= usage[cell, programme]:
                programme += 1
            place = rng.random() * n_genes
            gene = int(place)
            if place - gene >= keep[programme, gene]:
                gene = other[programme, gene]
            if counts[gene] == 0:
                touched[n_touched] = gene
                n_touched += 1
            counts[gene] += 1
        genes = np.sort(touched[:n_touched])
        for gene in genes:
            values[at], columns[at] = counts[gene], gene
            counts[gene] = 0
            at += 1
        lengths[cell] = n_touched
    return values[:at], columns[:at], lengths
