"""The selected genes on the scale of the study: what the fits look at."""

import numpy as np
import numpy.typing as npt
from scipy import sparse

from stagewright.stages.cohort.counts_source import Counts, as_source
from stagewright.stages.preprocess.expression import selected_expression
from stagewright.stages.preprocess.pearson_residuals import PearsonResidualView, pearson_residuals
from stagewright.stages.reduction.view import View
from stagewright.state.spec.normalisation import Normalisation, PearsonResiduals

__all__ = ["cells_of", "stored_expression", "to_scale", "unseen_cells"]


def to_scale(
    counts: Counts, genes: npt.NDArray[np.bool_], normalisation: Normalisation
) -> sparse.csr_matrix | PearsonResidualView:
    """Return the selected genes, as a matrix on a sparse scale or as a view of Pearson residuals.

    Parameters
    ----------
    counts
        Raw counts of all genes, of shape (n_cells, n_genes): library sizes are over all of them.
    genes
        Mask of shape (n_genes,).

    Raises
    ------
    CountsUnusable
        The counts are not finite or negative, or for Pearson residuals not whole numbers.
    """
    if isinstance(normalisation, PearsonResiduals):
        return pearson_residuals(counts, genes, theta=normalisation.theta)
    return selected_expression(as_source(counts), genes, normalisation)


def stored_expression(scaled: sparse.csr_matrix | PearsonResidualView) -> tuple[sparse.csr_matrix, str]:
    """Return what a file can hold of it, CSR of shape (n_cells, n_selected), and what that is, in a word.

    Residuals have no zeros: the counts that they come from are stored instead.
    """
    if isinstance(scaled, PearsonResidualView):
        return scaled.counts, "counts"
    return scaled, "normalised"


def cells_of(
    scaled: sparse.csr_matrix | View, rows: npt.NDArray[np.bool_] | npt.NDArray[np.intp]
) -> sparse.csr_matrix | PearsonResidualView:
    """Return some cells as if there were no others; `rows` is a mask or row numbers, which may come twice.

    Raises
    ------
    TypeError
        What is scaled is neither a sparse matrix nor a view of Pearson residuals.
    """
    if isinstance(scaled, PearsonResidualView):
        return scaled.of_cells(rows)
    return sparse.csr_matrix(_sparse(scaled)[rows])


def unseen_cells(
    scaled: sparse.csr_matrix | View, rows: npt.NDArray[np.bool_] | None, training: View
) -> sparse.csr_matrix | PearsonResidualView:
    """Return other cells (`rows` of them, None: all) as `training`, the view of the cells of a fit, sees them.

    Raises
    ------
    TypeError
        As `cells_of`.
    """
    if isinstance(scaled, PearsonResidualView) and isinstance(training, PearsonResidualView):
        counts, totals = (scaled.counts, scaled.totals) if rows is None else (scaled.counts[rows], scaled.totals[rows])
        return training.of_other_cells(counts, totals)
    matrix = _sparse(scaled)
    return matrix if rows is None else sparse.csr_matrix(matrix[rows])


def _sparse(scaled: sparse.csr_matrix | View) -> sparse.csr_matrix:
    if not sparse.issparse(scaled):
        raise TypeError(f"cells are taken from a sparse matrix or a view of Pearson residuals, not from {type(scaled)}")
    return scaled
