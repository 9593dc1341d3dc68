"""Latent variables of a variational autoencoder of counts (Lopez et al. 2018, Nat. Methods 15:1053).

By the package `scvi-tools`, the extra `scvi`, which brings torch. The model is of counts: the study has to leave them
as they are (`normalisation: {method: none}`).
"""

from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from stagewright.stages.reduction.optional_package import require_package
from stagewright.stages.reduction.reduction import Reduction, fix_signs
from stagewright.stages.reduction.regression_loadings import regression_loadings
from stagewright.stages.reduction.standardise import Standardised
from stagewright.stages.reduction.view import View

__all__ = ["fit_scvi"]


def fit_scvi(
    view: View, k: int, *, batch: npt.NDArray[np.str_] | None, seed: int, max_epochs: int | None = None
) -> Reduction:
    """Fit a model with k latent variables.

    Parameters
    ----------
    view
        The standardised view of a sparse matrix of counts.
    k
        Number of latent variables.
    batch
        Batch of each cell, shape (n_cells,); None for none.
    seed
        Of the initial weights and the order of the cells.
    max_epochs
        The most passes over the cells; None leaves the number to the package, which lowers it for many cells.

    Returns
    -------
    Reduction
        `scores` are the posterior means of the latent variables, `loadings` the standardised genes' regression on them,
        `extras["explained"]` the share of the genes' variance that this regression explains, and `objective` minus the
        evidence lower bound per cell.

    Raises
    ------
    ModuleNotFoundError
        The package is not installed.
    ValueError
        The matrix does not hold counts.
    """
    require_package("scvi")
    tools: Any = import_module("scvi")  # optional, and it brings torch
    from anndata import AnnData  # noqa: PLC0415 - as above

    if not isinstance(view, Standardised) or not np.array_equal(view.x.data, np.rint(view.x.data)):
        raise ValueError("scvi models counts; take normalisation: {method: none}, or leave scvi out.")
    tools.settings.seed = seed
    groups = np.full(view.shape[0], "all") if batch is None else batch
    data = AnnData(sparse.csr_matrix(view.x, dtype=np.float32), obs=pd.DataFrame({"batch": pd.Categorical(groups)}))
    tools.model.SCVI.setup_anndata(data, batch_key="batch")
    model = tools.model.SCVI(data, n_latent=k)
    model.train(max_epochs=max_epochs, accelerator="cpu", devices=1, enable_progress_bar=False)
    scores = np.asarray(model.get_latent_representation(), dtype=np.float64)
    bound = float(model.get_elbo())  # the mean over the cells; higher is better
    loadings, explained = regression_loadings(view, scores)
    order = np.argsort(-(loadings**2).sum(axis=0) * scores.var(axis=0), kind="stable")
    signs = fix_signs(loadings[:, order])
    return Reduction(
        method="scvi",
        k=k,
        scores=(scores[:, order] * signs).astype(np.float32),
        loadings=(loadings[:, order] * signs).astype(np.float32),
        extras={
            "explained": explained,
            "converged": True,  # it stops by its own rule on the number of passes
            "n_iter": len(model.history["elbo_train"]),
            "objective": -bound,
            "seed": seed,
            "n_batches": len(np.unique(groups)),
            "n_constant_genes": view.shape[1] - view.n_varying,
        },
        arrays={"gene_mean": view.mean, "gene_sd": view.sd},
    )
