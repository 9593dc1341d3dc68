"""Scores of other cells under a fitted reduction: nothing of the fit changes."""

import numpy as np
import numpy.typing as npt
from scipy import sparse

from stagewright.stages.reduction.catalogue import METHODS
from stagewright.stages.reduction.factor_scores import score_weights
from stagewright.stages.reduction.fit_registered import transform_registered
from stagewright.stages.reduction.nonnegative_scores import Loss, nonnegative_scores
from stagewright.stages.reduction.reduction import Float32Array, Reduction
from stagewright.stages.reduction.standardise import Standardised
from stagewright.stages.reduction.view import Float64Array, View
from stagewright.state.spec.reduction import NON_NEGATIVE

__all__ = ["transform"]


def transform(reduction: Reduction, x: sparse.csr_matrix | View) -> Float32Array:
    """Return the scores of cells under a fitted reduction.

    - pca: the projection of the standardised genes, standardised by the training cells' mean and sd.
    - fa: the estimates of the factors by the estimator of the fit, after its rotation.
    - nmf, cnmf: the non-negative scores that minimise the fit's loss with the loadings fixed.

    For the training cells this gives the fit's own scores: the same values for pca and fa, and for nmf and cnmf scores
    whose loss differs by less than a share of 1e-6.

    Parameters
    ----------
    reduction
        The fit.
    x
        CSR matrix of shape (n_new_cells, n_genes): the same genes in the same order, normalised as for the fit. For pca
        and fa it may be a view of the new cells that is standardised by the training cells' mean and sd; then nothing
        is centred or scaled here.

    Returns
    -------
    Float32Array
        Shape (n_new_cells, k).

    Raises
    ------
    ValueError
        The genes differ in number, some entries are not finite (or negative, for nmf and cnmf), or the method cannot
        score other cells.
    """
    method = reduction.method
    n_genes = len(reduction.loadings)
    if x.shape[1] != n_genes:
        raise ValueError(f"the cells have {x.shape[1]:,} genes and the fit has {n_genes:,}; give the same genes.")
    cells: sparse.csr_matrix | None = sparse.csr_matrix(x) if sparse.issparse(x) else None
    if cells is not None and not np.isfinite(cells.data).all():
        raise ValueError("some entries are NaN or infinite; check the input counts.")
    if method in NON_NEGATIVE:
        if cells is None:
            raise ValueError(f"{method} needs non-negative expression as a sparse matrix, not a standardised view.")
        loss: Loss = "kullback-leibler" if reduction.extras["loss"] == "kullback-leibler" else "frobenius"
        scale = _inverse(_floats(reduction, "gene_sd")) if reduction.extras["scaled"] else None
        scores, _ = nonnegative_scores(cells, reduction.loadings, loss, scale)
        return scores.astype(np.float32)
    if method == "pca":
        weights = reduction.loadings.astype(np.float64)
    elif method == "fa":
        correlated = reduction.arrays.get("factor_correlation", np.eye(reduction.k))
        weights = score_weights(
            reduction.loadings.astype(np.float64),
            _floats(reduction, "uniquenesses"),
            correlated.astype(np.float64),
            "bartlett" if reduction.extras["scores"] == "bartlett" else "regression",
        )
    else:
        own = None if method in METHODS else transform_registered(reduction, x)
        if own is not None:
            return own
        raise ValueError(
            f"{method} cannot score cells that it was not fitted to; leave it out where the reduction is refitted in "
            "each training fold (cv scope pipeline)."
        )
    view: View
    if cells is None:
        view = x
    else:
        sd = _floats(reduction, "gene_sd")
        view = Standardised(cells, _floats(reduction, "gene_mean"), sd, _inverse(sd))
    return view.project(weights).astype(np.float32)


def _floats(reduction: Reduction, name: str) -> Float64Array:
    return reduction.arrays[name].astype(np.float64)


def _inverse(sd: npt.NDArray[np.float64]) -> Float64Array:
    return np.divide(1.0, sd, out=np.zeros_like(sd), where=sd > 0)
