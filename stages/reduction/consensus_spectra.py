"""The consensus of many factorisations' components, as the `cnmf` package makes it.

Kotliar et al. (2019), eLife 8:e43803. A component here is a spectrum: its gene weights scaled to length 1.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

__all__ = ["Consensus", "cluster", "consensus", "local_density", "silhouette"]

Float64Array = npt.NDArray[np.float64]

CLUSTERING_SEED = 1
CLUSTERING_STARTS = 10
"""Both as in the package, so that the same spectra give the same clusters."""


@dataclass(frozen=True, slots=True)
class Consensus:
    """Consensus spectra.

    Attributes
    ----------
    spectra
        Median of each cluster, scaled to sum 1, shape (k, n_genes).
    density
        Mean distance of each spectrum to its nearest neighbours, shape (n_spectra,); lower is denser.
    labels
        Cluster 0 .. k - 1 of each spectrum, shape (n_spectra,); -1 for one that the density filter left out.
    """

    spectra: Float64Array
    density: Float64Array
    labels: npt.NDArray[np.int64]


def local_density(spectra: Float64Array, n_neighbors: int) -> Float64Array:
    """Return the mean distance of each spectrum of length 1 to its `n_neighbors` nearest others, in [0, 2]."""
    n_neighbors = min(n_neighbors, len(spectra) - 1)
    nearest = np.partition(_distances(spectra), n_neighbors, axis=1)[:, : n_neighbors + 1]
    return np.asarray(nearest.sum(axis=1) / n_neighbors)  # its own distance is 0


def cluster(spectra: Float64Array, k: int) -> npt.NDArray[np.int64]:
    """Return the k-means cluster of each spectrum, shape (n_spectra,)."""
    from sklearn.cluster import KMeans  # noqa: PLC0415 - costs a second, and only this method needs it

    # Its sums are split over threads: with one, the number of workers changes no bit.
    with threadpool_limits(1):
        found = KMeans(k, n_init=CLUSTERING_STARTS, random_state=CLUSTERING_SEED).fit(spectra)
    return np.asarray(found.labels_, dtype=np.int64)


def silhouette(spectra: Float64Array, labels: npt.NDArray[np.int64]) -> float | None:
    """Return the mean silhouette of the clusters, in [-1, 1]; None when there are as many clusters as spectra."""
    sizes = np.bincount(labels)
    if len(sizes) >= len(spectra) or len(sizes) < 2:  # noqa: PLR2004 - there is no other cluster to be far from
        return None
    sums = _distances(spectra) @ np.eye(len(sizes))[labels]
    own = sizes[labels]
    rows = np.arange(len(spectra))
    inner = sums[rows, labels] / np.maximum(own - 1, 1)
    means = sums / sizes
    means[rows, labels] = np.inf
    outer = means.min(axis=1)
    widest = np.maximum(inner, outer)
    values = np.divide(outer - inner, widest, out=np.zeros_like(inner), where=(own > 1) & (widest > 0))
    return float(values.mean())


def consensus(spectra: Float64Array, k: int, *, density_threshold: float, n_neighbors: int) -> Consensus:
    """Leave out spectra that stand alone, cluster the others, and take the median of each cluster.

    Parameters
    ----------
    spectra
        Rows of length 1, shape (n_replicates * k, n_genes).
    density_threshold
        A spectrum whose mean distance to its nearest neighbours is not below this is left out; at 2 none is.
    n_neighbors
        Neighbours that are looked at.

    Raises
    ------
    ValueError
        Fewer spectra than clusters are left.
    """
    density = local_density(spectra, n_neighbors)
    dense = density < density_threshold
    if np.count_nonzero(dense) < k:
        raise ValueError(
            f"{np.count_nonzero(dense)} of {len(spectra)} components pass the density threshold {density_threshold:g}, "
            f"fewer than K = {k}: the replicates do not agree. Raise reduction.cnmf.density_threshold (the median "
            f"distance is {np.median(density):.2f}), take more replicates, or a smaller K."
        )
    labels = np.full(len(spectra), -1, dtype=np.int64)
    labels[dense] = cluster(spectra[dense], k)
    medians = np.vstack([np.median(spectra[labels == group], axis=0) for group in range(k)])
    sums = medians.sum(axis=1, keepdims=True)
    return Consensus(np.divide(medians, sums, out=np.zeros_like(medians), where=sums > 0), density, labels)


def _distances(spectra: Float64Array) -> Float64Array:
    squares = (spectra**2).sum(axis=1)
    distances = squares[:, None] + squares[None, :] - 2 * (spectra @ spectra.T)
    np.fill_diagonal(distances, 0.0)
    return np.asarray(np.sqrt(np.maximum(distances, 0.0)))
