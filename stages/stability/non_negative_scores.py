"""Non-negative least-squares scores of many cells at once."""

import numpy as np

from stagewright.stages.reduction.standardise import Float64Array

__all__ = ["non_negative_scores"]

MOST_SWEEPS = 2000
TOLERANCE = 1e-6


def non_negative_scores(x: Float64Array, loadings: Float64Array) -> Float64Array:
    """Minimise |x - s @ loadings.T| over s >= 0.

    Exact coordinate descent over components, for all cells side by side (HALS with fixed loadings; Cichocki & Phan
    2009, IEICE Trans. E92-A:708). The problem is convex; sweeps stop when none of them moves the prediction of a
    cell by more than 1e-6 of the largest one's size.

    Parameters
    ----------
    x
        Shape (n_cells, n_genes).
    loadings
        Shape (n_genes, k). A component without a gene gets score 0.

    Returns
    -------
    Shape (n_cells, k).

    Raises
    ------
    ValueError
        The sweeps do not settle.
    """
    gram = loadings.T @ loadings
    target = x @ loadings
    usable = np.flatnonzero(np.diag(gram) > 0)
    lengths = np.sqrt(np.diag(gram))
    scores = np.zeros_like(target)
    scores_t, target_t = np.ascontiguousarray(scores.T), np.ascontiguousarray(target.T)
    for _ in range(MOST_SWEEPS):
        moved = 0.0
        for component in usable:
            residual = target_t[component] - gram[component] @ scores_t
            step = np.maximum(scores_t[component] + residual / gram[component, component], 0.0) - scores_t[component]
            scores_t[component] += step
            moved = max(moved, float(np.abs(step).max(initial=0.0)) * lengths[component])
        largest = float((scores_t * lengths[:, None]).max(initial=0.0))
        if moved <= TOLERANCE * largest:
            return np.ascontiguousarray(scores_t.T)
    raise ValueError(
        f"non-negative scores did not settle in {MOST_SWEEPS} sweeps: the {loadings.shape[1]} components are nearly "
        "the same; take a smaller K"
    )
