"""Non-negative matrix factorisation of variance-scaled expression."""

import numpy as np
from scipy import sparse

from stagewright.stages.reduction.factorise import (
    explained_and_objective,
    factorise,
    scalable,
    variance_scaled,
)
from stagewright.stages.reduction.nonnegative_scores import LOSSES, Loss, nonnegative_scores
from stagewright.stages.reduction.reduction import Reduction
from stagewright.stages.reduction.view import View

__all__ = ["LOSSES", "TOLERANCES", "Loss", "fit_nmf"]

TOLERANCES: dict[str, float] = {"frobenius": 1e-5, "kullback-leibler": 2e-4}
"""On the fall of each loss's root (see `alternate`); both leave the loss below what scikit-learn's default leaves."""


def fit_nmf(
    x: sparse.csr_matrix | View,
    k: int,
    *,
    seed: int,
    loss: Loss = "frobenius",
    max_iter: int = 1000,
    tol: float | None = None,
    scale: bool = True,
) -> Reduction:
    """Fit x ~ scores @ loadings.T with no negative entry anywhere.

    Genes are scaled to unit standard deviation without centring, as is the custom for expression programmes
    (Kotliar et al. 2019, eLife 8:e43803); a constant gene is set to zero. The start is random, so that seeds mean
    something. Both losses are minimised by coordinate descent in a compiled kernel over the non-zeros.

    Parameters
    ----------
    x
        Non-negative CSR matrix of shape (n_cells, n_genes), usually log-normalised expression, or its standardised
        view (only its sd is used).
    k
        Number of components, at most min(n_cells, n_genes).
    seed
        Of the random start.
    loss
        "frobenius" or "kullback-leibler".
    max_iter
        The most iterations; reaching it leaves `converged` False.
    tol
        Of `squares_factors` or `divergence_factors`; None for the loss's own in `TOLERANCES`.
    scale
        False leaves the genes on their own scale.

    Returns
    -------
    Reduction
        Columns of `loadings` have length 1 and `scores` carry the scale; components by decreasing length of their
        scores, which are the best ones for the loadings (see `nonnegative_scores`). `extras`: `explained` = 1 -
        ||x - WH||^2 / ||x||^2, a share of the sum of squares about zero and so larger than a share of variance;
        `objective`, the loss minimised (half the squared residual, or the divergence); `n_dead`, components that are
        zero in all cells or all genes; `n_unsettled`, cells whose scores are not at their best.

    Raises
    ------
    ValueError
        Some entries are negative, or `k` or `loss` is out of range.
    """
    view = scalable(x, k, loss)
    tolerance = TOLERANCES[loss] if tol is None else tol
    matrix = variance_scaled(view, scale=scale)
    rng = np.random.Generator(np.random.PCG64(seed))
    found = factorise(matrix, k, rng, loss, tol=tolerance, max_iter=max_iter)
    lengths = np.linalg.norm(found.h, axis=0)
    order = np.argsort(-np.linalg.norm(found.w, axis=0) * lengths, kind="stable")
    loadings = np.ascontiguousarray((found.h / np.where(lengths > 0, lengths, 1.0))[:, order], dtype=np.float32)
    # The solver stops before its scores are the best for its loadings; those that `transform` gives are.
    scores, n_unsettled = nonnegative_scores(matrix, loadings, loss, start=(found.w * lengths)[:, order])
    explained, objective = explained_and_objective(matrix, scores, loadings, loss)
    dead = (scores == 0).all(axis=0) | (loadings == 0).all(axis=0)
    return Reduction(
        method="nmf",
        k=k,
        scores=scores.astype(np.float32),
        loadings=loadings,
        extras={
            "explained": explained,
            "converged": found.converged,
            "n_iter": found.n_iter,
            "objective": objective,
            "seed": seed,
            "loss": loss,
            "scaled": scale,
            "n_dead": int(np.count_nonzero(dead)),
            "n_unsettled": n_unsettled,
            "n_constant_genes": view.shape[1] - view.n_varying,
            "tolerance": tolerance,
        },
        arrays={"gene_mean": view.mean, "gene_sd": view.sd},
    )
