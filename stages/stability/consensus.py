"""Consensus clusters of the components of repeated fits."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stagewright.stages.stability.matching import Loadings, Measure, signed_similarity


@dataclass(frozen=True, slots=True)
class Consensus:
    """Clusters of n_fits * k components into k groups.

    Attributes
    ----------
    labels
        Shape (n_fits, k): cluster 0 .. k - 1 of each component, numbered by first appearance.
    silhouette
        Mean silhouette in [-1, 1]; higher means that the fits found the same components. None when it does not
        exist: one fit, or one component.
    silhouettes
        Shape (n_fits, k): silhouette of each component, NaN when it does not exist.
    n_complete
        Clusters with exactly one component of every fit; k is a perfect consensus.
    """

    labels: npt.NDArray[np.int64]
    silhouette: float | None
    silhouettes: npt.NDArray[np.float64]
    n_complete: int


def consensus_clusters(loadings: Sequence[Loadings], *, signed: bool, measure: Measure = "correlation") -> Consensus:
    """Cluster all components of all fits, as consensus NMF does (Kotliar et al. 2019, eLife 8:e43803).

    Distances are 1 - similarity, so that no fit serves as a reference and no sign needs to be aligned; clusters come
    from average linkage cut into exactly k. There is no random part.

    Parameters
    ----------
    loadings
        One array of shape (n_genes, k) per fit, at least one.
    signed
        True when a component may be its own negative (pca, fa): the similarity is then absolute. For non-negative
        components a negative similarity is a distance above 1.
    measure
        "correlation" (Pearson) or "cosine".

    Raises
    ------
    ValueError
        No fit is given, or the shapes differ.
    """
    from scipy.cluster.hierarchy import cut_tree, linkage  # noqa: PLC0415 - half a second, for this function only
    from scipy.spatial.distance import squareform  # noqa: PLC0415 - as above

    if not loadings:
        raise ValueError("No loadings are given; at least one fit is needed.")
    n_fits, k = len(loadings), int(loadings[0].shape[1])
    nothing = np.full((n_fits, k), np.nan)
    if n_fits == 1 or k == 1:
        labels = np.tile(np.arange(k, dtype=np.int64), (n_fits, 1))
        return Consensus(labels, None, nothing, n_complete=k)
    similarity = signed_similarity(loadings, measure=measure)
    distance = 1 - (np.abs(similarity) if signed else similarity)
    distance = (distance + distance.T) / 2
    np.fill_diagonal(distance, 0.0)
    tree = linkage(squareform(distance, checks=False), method="average")
    raw = cut_tree(tree, n_clusters=k).ravel()  # exactly k, ties or not
    _, first, inverse = np.unique(raw, return_index=True, return_inverse=True)
    labels = np.argsort(np.argsort(first))[inverse].astype(np.int64)
    by_fit = labels.reshape(n_fits, k)
    counts = np.array([np.bincount(row, minlength=k) for row in by_fit])
    n_complete = int((counts == 1).all(axis=0).sum())
    silhouettes = _silhouettes(distance, labels, k).reshape(n_fits, k)
    return Consensus(by_fit, float(silhouettes.mean()), silhouettes, n_complete)


def _silhouettes(
    distance: npt.NDArray[np.float64], labels: npt.NDArray[np.int64], n_clusters: int
) -> npt.NDArray[np.float64]:
    """Silhouette of each item (Rousseeuw 1987); 0 for the only one of its cluster."""
    members = np.eye(n_clusters)[labels]
    sizes = members.sum(axis=0)
    sums = distance @ members
    own_size = sizes[labels]
    items = np.arange(len(labels))
    within = sums[items, labels] / np.maximum(own_size - 1, 1)
    means = sums / sizes
    means[items, labels] = np.inf
    nearest = means.min(axis=1)
    longer = np.maximum(within, nearest)
    silhouettes: npt.NDArray[np.float64] = np.divide(
        nearest - within, longer, out=np.zeros_like(longer), where=longer > 0
    )
    silhouettes[own_size == 1] = 0.0
    return silhouettes
