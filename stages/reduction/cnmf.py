"""Consensus NMF: the components that many factorisations from different starts agree on."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import sparse

from stagewright.stages.classify.threads import map_nogil
from stagewright.stages.reduction.consensus_spectra import cluster, consensus, silhouette
from stagewright.stages.reduction.factorise import (
    explained_and_objective,
    factorise,
    scalable,
    squared_residual,
    variance_scaled,
)
from stagewright.stages.reduction.nmf import TOLERANCES
from stagewright.stages.reduction.nonnegative_scores import Loss, nonnegative_scores
from stagewright.stages.reduction.reduction import Reduction
from stagewright.stages.reduction.view import View

__all__ = ["consensus_fit", "fit_cnmf"]

Float64Array = npt.NDArray[np.float64]


def fit_cnmf(  # noqa: PLR0913 - keyword-only settings of one fit
    x: sparse.csr_matrix | View,
    k: int,
    *,
    seed: int,
    replicates: int = 20,
    loss: Loss = "frobenius",
    density_threshold: float = 0.5,
    neighbors_share: float = 0.3,
    max_iter: int = 1000,
    tol: float | None = None,
    n_workers: int = 1,
) -> Reduction:
    """Factorise many times and keep what the factorisations agree on (Kotliar et al. 2019, eLife 8:e43803).

    Each replicate is an NMF of the variance-scaled genes from a start of its own. Its components, scaled to length 1,
    are pooled; those without near neighbours in other replicates are left out; the others are clustered by k-means,
    and the median of each cluster is a consensus component. The usages of cells are then the best ones for these.

    The authors' package factorises counts that are not logarithmised; here it is the expression that the study is
    normalised to (for theirs, take `normalisation: none`).

    Parameters
    ----------
    x
        Non-negative CSR matrix of shape (n_cells, n_genes), or its standardised view (only its sd is used).
    k
        Number of components.
    seed
        The starts of the replicates are spawned from it.
    replicates
        Factorisations, at least 2.
    loss, max_iter, tol
        Of each factorisation, as in `fit_nmf`.
    density_threshold, neighbors_share
        As `density_threshold` and the share of replicates that are neighbours in `consensus_fit`.
    n_workers
        Replicates side by side; the result does not depend on it.

    Returns
    -------
    Reduction
        As `consensus_fit`.

    Raises
    ------
    ValueError
        As `fit_nmf` and `consensus_fit`.
    """
    view = scalable(x, k, loss)
    if replicates < 2:  # noqa: PLR2004 - one agrees with itself
        raise ValueError(f"replicates is {replicates}; a consensus needs at least 2.")
    matrix = variance_scaled(view)
    tolerance = TOLERANCES[loss] if tol is None else tol

    def spectra(own: np.random.SeedSequence) -> tuple[Float64Array, bool, int]:
        rng = np.random.Generator(np.random.PCG64(own))
        found = factorise(matrix, k, rng, loss, tol=tolerance, max_iter=max_iter)
        return found.h.T.astype(np.float64), found.converged, found.n_iter

    found = map_nogil(spectra, np.random.SeedSequence(seed).spawn(replicates), n_workers)
    reduction = consensus_fit(
        matrix,
        [each for each, _, _ in found],
        loss=loss,
        density_threshold=density_threshold,
        neighbors_share=neighbors_share,
    )
    reduction.extras.update(
        {
            "converged": all(converged for _, converged, _ in found),
            "n_iter": max(n_iter for _, _, n_iter in found),
            "seed": seed,
            "n_constant_genes": view.shape[1] - view.n_varying,
            "tolerance": tolerance,
        }
    )
    return Reduction(
        "cnmf",
        k,
        reduction.scores,
        reduction.loadings,
        reduction.extras,
        {**reduction.arrays, "gene_mean": view.mean, "gene_sd": view.sd},
    )


def consensus_fit(
    matrix: sparse.csr_matrix,
    replicates: Sequence[Float64Array],
    *,
    loss: Loss,
    density_threshold: float,
    neighbors_share: float,
) -> Reduction:
    """Make the consensus of replicates that are there, and fit the usages of cells to it.

    Parameters
    ----------
    matrix
        What was factorised, shape (n_cells, n_genes).
    replicates
        The spectra of each, shape (k, n_genes).
    loss
        That the usages minimise.
    density_threshold
        A component whose mean distance to its nearest neighbours is not below this is left out; at 2 none is.
    neighbors_share
        The nearest neighbours: this share of the replicates, rounded down, at least 1.

    Returns
    -------
    Reduction
        Columns of `loadings` have length 1 and `scores` carry the scale; components by decreasing share of the cells'
        usage. `extras`: `explained` and `objective` as in `fit_nmf`; the two curves by which the method's authors
        choose K, both over all components without the filter: `stability`, the silhouette of the clusters (higher is
        better), and `prediction_error`, the squared residual; `n_left_out` components by the filter. `arrays`:
        `local_density` and `replicate_clusters` (-1: left out), shape (n_replicates * k,).

    Raises
    ------
    ValueError
        Fewer components than K pass the filter.
    """
    k = len(replicates[0])
    pooled = np.vstack(replicates)
    lengths = np.linalg.norm(pooled, axis=1, keepdims=True)
    pooled = np.divide(pooled, lengths, out=np.zeros_like(pooled), where=lengths > 0)
    n_neighbors = max(1, int(neighbors_share * len(replicates)))
    found = consensus(pooled, k, density_threshold=density_threshold, n_neighbors=n_neighbors)
    everything = cluster(pooled, k)
    medians = np.vstack([np.median(pooled[everything == group], axis=0) for group in range(k)])
    usages, _ = nonnegative_scores(matrix, medians.T, loss)
    prediction_error = squared_residual(matrix, usages, medians.T)

    lengths = np.linalg.norm(found.spectra, axis=1)
    loadings = np.divide(found.spectra.T, lengths, out=np.zeros_like(found.spectra.T), where=lengths > 0)
    usages, n_unsettled = nonnegative_scores(matrix, loadings, loss)
    # As shares of a cell's usage of spectra that sum to 1, which is what the package orders by.
    weights = usages * loadings.sum(axis=0)
    total = weights.sum(axis=1, keepdims=True)
    share = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0).sum(axis=0)
    order = np.argsort(-share, kind="stable")
    loadings = np.ascontiguousarray(loadings[:, order], dtype=np.float32)
    usages = np.ascontiguousarray(usages[:, order])
    explained, objective = explained_and_objective(matrix, usages, loadings, loss)
    position = np.append(np.argsort(order), -1)
    return Reduction(
        method="cnmf",
        k=k,
        scores=usages.astype(np.float32),
        loadings=loadings,
        extras={
            "explained": explained,
            "objective": objective,
            "loss": loss,
            "scaled": True,
            "replicates": len(replicates),
            "density_threshold": density_threshold,
            "n_neighbors": n_neighbors,
            "n_left_out": int(np.count_nonzero(found.labels < 0)),
            "stability": silhouette(pooled, everything),
            "prediction_error": prediction_error,
            "n_dead": int(np.count_nonzero((usages == 0).all(axis=0))),
            "n_unsettled": n_unsettled,
        },
        arrays={"local_density": found.density, "replicate_clusters": position[found.labels]},
    )
