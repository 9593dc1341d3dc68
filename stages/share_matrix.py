"""The matrix of a sweep as an argument of calls, of which no worker makes a copy."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from stagewright.stages.executors.executor import Executor, SharedValue
from stagewright.stages.preprocess.pearson_residuals import PearsonResidualView
from stagewright.stages.reduction.sweep import SharedMatrix

__all__ = ["share_matrix"]


def share_matrix(executor: Executor, shared: SharedMatrix) -> SharedValue[SharedMatrix]:
    """Return a matrix as a shared argument: in this process itself, in others over arrays that they map from files.

    What its fits have in common (moments, correlation, decompositions) each process computes for itself, at first need.
    """
    x = shared.x
    if isinstance(x, PearsonResidualView):
        counts, others = x.counts, {name: getattr(x, name) for name in OF_RESIDUALS}
        return executor.share(shared, _of_residuals, **_parts(counts), batch=shared.batch, **others)
    if not sparse.issparse(x):
        raise TypeError(f"no executor knows how to share a {type(x).__name__}; say so in share_matrix")
    return executor.share(shared, _of_sparse, **_parts(x), batch=shared.batch)


OF_RESIDUALS = ("totals", "shares", "theta", "clip", "mean", "sd", "inverse_sd")


def _parts(x: sparse.csr_matrix) -> dict[str, object]:
    return {"data": x.data, "indices": x.indices, "indptr": x.indptr, "n_genes": int(x.shape[1])}


def _csr(
    data: NDArray[np.float32], indices: NDArray[np.integer], indptr: NDArray[np.integer], n_genes: int
) -> sparse.csr_matrix:
    return sparse.csr_matrix((data, indices, indptr), shape=(indptr.size - 1, n_genes))


def _of_sparse(
    data: NDArray[np.float32],
    indices: NDArray[np.integer],
    indptr: NDArray[np.integer],
    n_genes: int,
    batch: NDArray[np.str_] | None,
) -> SharedMatrix:
    return SharedMatrix(_csr(data, indices, indptr, n_genes), batch)


def _of_residuals(
    data: NDArray[np.float32],
    indices: NDArray[np.integer],
    indptr: NDArray[np.integer],
    n_genes: int,
    batch: NDArray[np.str_] | None,
    **others: object,
) -> SharedMatrix:
    counts = _csr(data, indices, indptr, n_genes)
    return SharedMatrix(PearsonResidualView(counts=counts, **others), batch)  # type: ignore[arg-type]  # its own fields
