"""Normalised expression of the selected genes, built once and alone: never beside that of all genes."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from stagewright.stages.cohort.counts_source import CountsSource, index_dtype
from stagewright.stages.preprocess.normalise import log_normalise

__all__ = ["selected_expression"]


def selected_expression(source: CountsSource, genes: NDArray[np.bool_]) -> sparse.csr_matrix:
    """Return the log-normalised expression of some genes; a cell's library size is that of all genes.

    Memory is that of the result and one block of counts, whatever the number of genes that are left out.

    Parameters
    ----------
    source
        Raw counts of shape (n_cells, n_genes).
    genes
        Which genes are kept, shape (n_genes,).

    Returns
    -------
    sparse.csr_matrix
        float32 of shape (n_cells, number kept): the columns of `log_normalise` of all counts, bit for bit.
    """
    columns = np.flatnonzero(genes)
    n_cells = source.shape[0]
    n_stored = int(source.cells_per_gene[columns].sum())
    small = index_dtype(max(n_stored, len(columns)))
    data, indices = np.empty(n_stored, dtype=np.float32), np.empty(n_stored, dtype=small)
    indptr = np.zeros(n_cells + 1, dtype=small)
    row = at = 0
    for block in source.blocks():
        end = row + block.shape[0]
        kept = log_normalise(_columns(block, columns), totals=source.totals[row:end])
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
