"""The selected genes on the scale of the study: what the fits look at."""

import numpy as np
import numpy.typing as npt
from scipy import sparse

from stagewright.stages.cohort.counts_source import Counts, as_source
from stagewright.stages.preprocess.expression import selected_expression
from stagewright.stages.preprocess.pearson_residuals import PearsonResidualView, pearson_residuals
from stagewright.state.spec.normalisation import Normalisation, PearsonResiduals

__all__ = ["stored_expression", "to_scale"]


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
