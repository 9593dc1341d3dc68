"""The correlation matrix of the genes, computed once and shared by every factor analysis of a matrix."""

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.linalg import blas

from stagewright.stages.reduction.standardise import standardise
from stagewright.stages.reduction.view import View

BLOCK_CELLS = 2048


def correlation(x: sparse.csr_matrix | View) -> npt.NDArray[np.float32]:
    """Pearson correlation between the genes.

    Memory is 4 * n_genes**2 bytes and one block of 2,048 cells, whatever the number of cells.

    Parameters
    ----------
    x
        CSR matrix of shape (n_cells, n_genes), or a standardised view.

    Returns
    -------
    npt.NDArray[np.float32]
        Symmetric, shape (n_genes, n_genes), with a diagonal of exactly 1; absolute error about 1e-6 per entry. A
        constant gene has correlation 0 with every other gene.
    """
    view: View = standardise(x) if sparse.issparse(x) else x
    n_cells, n_genes = view.shape
    gram = np.zeros((n_genes, n_genes), dtype=np.float32, order="F")
    # Blocks come centred, so the sums stay small and float32 keeps six digits; each block adds to half the matrix.
    for block in view.dense_blocks(BLOCK_CELLS):
        gram = blas.ssyrk(1.0 / n_cells, block.T, beta=1.0, c=gram, overwrite_c=1, lower=0)
    for start in range(0, n_genes, BLOCK_CELLS):  # the other half, in panels: np.triu of the whole would be a copy
        stop = start + BLOCK_CELLS
        corner = gram[start:stop, start:stop]
        corner += np.triu(corner, 1).T
        gram[stop:, start:stop] = gram[start:stop, stop:].T
    np.fill_diagonal(gram, 1.0)
    return gram
