"""Expression of some genes on a study's scale, built once and alone: never beside that of all genes."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from stagewright.stages.cohort.counts_source import CountsSource, index_dtype
from stagewright.stages.preprocess.normalise import log_normalise, normalise
from stagewright.state.spec.normalisation import Normalisation

__all__ = ["expression_by_genes", "selected_counts", "selected_expression"]

Scale = Callable[[sparse.csr_matrix, NDArray[np.float64]], sparse.csr_matrix]
"""Of counts of some genes and the library sizes of the cells."""

GENES_TOGETHER = 2**27
"""Stored values of the genes whose expression is held at a time where genes are looked at one by one: 1 GiB."""


def selected_expression(
    source: CountsSource, genes: NDArray[np.bool_], normalisation: Normalisation
) -> sparse.csr_matrix:
    """Return the expression of some genes; a cell's library size is that of all genes.

    Memory is that of the result and one block of counts, whatever the number of genes that are left out.

    Parameters
    ----------
    source
        Raw counts of shape (n_cells, n_genes).
    genes
        Which genes are kept, shape (n_genes,).
    normalisation
        One of the sparse scales.

    Returns
    -------
    sparse.csr_matrix
        float32 of shape (n_cells, number kept): the columns of `normalise` of all counts, bit for bit.

    Raises
    ------
    ValueError
        The scale is not sparse.
    """

    def scale(block: sparse.csr_matrix, totals: NDArray[np.float64]) -> sparse.csr_matrix:
        return normalise(block, normalisation, totals=totals)

    return _selected(source, np.flatnonzero(genes), scale)


def selected_counts(source: CountsSource, genes: NDArray[np.bool_]) -> sparse.csr_matrix:
    """Return the raw counts of some genes, CSR float32 of shape (n_cells, number kept)."""
    return _selected(source, np.flatnonzero(genes), lambda block, _: block)


def expression_by_genes(
    source: CountsSource, target_sum: float, most: int = GENES_TOGETHER
) -> Iterator[sparse.csr_matrix]:
    """Yield the log-normalised expression of all genes, some consecutive ones after each pass over the counts.

    Parameters
    ----------
    target_sum
        Total that every cell is scaled to, in counts.
    most
        Stored values that are held at a time; a single gene may have more.

    Yields
    ------
    CSR float32 of shape (n_cells, some genes), in the order of the genes.
    """
    ends = np.cumsum(source.cells_per_gene)
    first = 0

    def scale(block: sparse.csr_matrix, totals: NDArray[np.float64]) -> sparse.csr_matrix:
        return log_normalise(block, target_sum, totals=totals)

    while first < len(ends):
        before = int(ends[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(ends, before + most, side="right")))
        yield _selected(source, np.arange(first, last), scale)
        first = last


def _selected(source: CountsSource, columns: NDArray[np.intp], scale: Scale) -> sparse.csr_matrix:
    n_cells = source.shape[0]
    n_stored = int(source.cells_per_gene[columns].sum())
    small = index_dtype(max(n_stored, len(columns)))
    data, indices = np.empty(n_stored, dtype=np.float32), np.empty(n_stored, dtype=small)
    indptr = np.zeros(n_cells + 1, dtype=small)
    row = at = 0
    for block in source.blocks():
        end = row + block.shape[0]
        kept = scale(_columns(block, columns), source.totals[row:end])
        stop = at + kept.nnz
        data[at:stop], indices[at:stop] = kept.data, kept.indices
        indptr[row + 1 : end + 1] = kept.indptr[1:].astype(small) + small(at)
        row, at = end, stop
    return sparse.csr_matrix((data, indices, indptr), shape=(n_cells, len(columns)))


def _columns(block: sparse.csr_matrix, columns: NDArray[np.intp]) -> sparse.csr_matrix:
    kept = block if len(columns) == block.shape[1] else block[:, columns]
    if not kept.data.all():
        kept = kept.copy()
        kept.eliminate_zeros()
    return kept
