"""The consensus component of each cluster of components."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from stagewright.stages.stability.matching import Loadings

__all__ = ["consensus_loadings"]


def consensus_loadings(
    loadings: Sequence[Loadings],
    labels: npt.NDArray[np.int64],
    *,
    signed: bool,
) -> npt.NDArray[np.float32]:
    """Return the median of the components of each cluster, each of unit length and, if signed, turned the same way.

    The median over a cluster is that of consensus NMF (Kotliar et al. 2019, eLife 8:e43803); a single stray component
    does not move it.

    Parameters
    ----------
    loadings
        One array of shape (n_genes, k) per fit.
    labels
        Cluster of each component, shape (n_fits, k), with k clusters: see `consensus.consensus_clusters`.
    signed
        True when a component may be its own negative; it is then turned towards the first of its cluster.

    Returns
    -------
    float32 of shape (n_genes, k); column c is the consensus of cluster c.
    """
    stacked = np.concatenate([np.asarray(item, dtype=np.float64).T for item in loadings])
    norms = np.linalg.norm(stacked, axis=1, keepdims=True)
    unit = np.divide(stacked, norms, out=np.zeros_like(stacked), where=norms > 0)
    flat = labels.ravel()
    consensus = np.zeros((stacked.shape[1], labels.shape[1]), dtype=np.float32)
    for cluster in range(labels.shape[1]):
        members = unit[flat == cluster]
        if signed:
            members = members * np.where(members @ members[0] < 0, -1.0, 1.0)[:, None]
        consensus[:, cluster] = np.median(members, axis=0)
    return consensus
