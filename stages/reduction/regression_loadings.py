"""Loadings for scores that come from no linear model: each gene's regression on them."""

import numpy as np
import numpy.typing as npt

from stagewright.stages.reduction.view import View

__all__ = ["regression_loadings"]

BLOCK_CELLS = 2048


def regression_loadings(view: View, scores: npt.NDArray[np.floating]) -> tuple[npt.NDArray[np.float64], float]:
    """Regress the standardised genes on centred scores by least squares.

    Parameters
    ----------
    view
        The standardised matrix z of the cells.
    scores
        Shape (n_cells, k).

    Returns
    -------
    tuple[npt.NDArray[np.float64], float]
        Coefficients of shape (n_genes, k), and the share of the genes' total variance that they explain, in [0, 1].
    """
    centred = scores - scores.mean(axis=0, dtype=np.float64)
    products = np.zeros((view.shape[1], scores.shape[1]))
    start = 0
    for block in view.dense_blocks(BLOCK_CELLS):
        products += (block.T @ centred[start : start + len(block)].astype(np.float32)).astype(np.float64)
        start += len(block)
    loadings = np.linalg.lstsq(centred.T @ centred, products.T, rcond=None)[0].T
    explained = float((loadings * products).sum()) / (len(scores) * view.n_varying)
    return loadings, min(max(explained, 0.0), 1.0)
