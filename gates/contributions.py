"""How much each component of an embedding adds to what the embedding says of the expression."""

import numpy as np
from numpy.typing import NDArray

from stagewright.gates.embeddings import measure_axes

__all__ = ["DEAD", "dead_components", "reproduced_variance"]

DEAD = 1e-4
"""Lengths of scores and loadings, multiplied, as a share of the largest: below it an NMF component is dead."""


def dead_components(norms: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which components are dead.

    Parameters
    ----------
    norms
        Length of each component's scores times that of its loadings, shape (k,); NaN where unknown.
    """
    known = np.isfinite(norms)
    largest = norms[known].max(initial=0.0)
    with np.errstate(invalid="ignore"):
        dead: NDArray[np.bool_] = known & (norms < DEAD * largest)
    return dead


def reproduced_variance(scores: NDArray[np.floating], loadings: NDArray[np.floating]) -> float:
    """Return the variance over cells, summed over genes, of what scores and loadings reproduce together.

    It is the trace of C L'L, with C the covariance of the scores: free of the scale, and for factors and programmes of
    the order, between the two. NaN where a value is not finite.

    Parameters
    ----------
    scores
        Shape (n_cells, k).
    loadings
        Shape (n_genes, k).
    """
    axes, genes = measure_axes(scores), np.asarray(loadings, dtype=np.float64)
    if axes.not_finite.any() or not np.isfinite(genes).all():
        return float("nan")
    return float((axes.covariance * (genes.T @ genes)).sum())
