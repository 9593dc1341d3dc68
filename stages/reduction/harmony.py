"""Principal components with the differences between batches taken out (Korsunsky et al. 2019, Nat. Methods 16:1289).

By the package `harmonypy`, the extra `harmony`. Harmony moves the cells that it is given and has no rule for others, so
there are no scores of other cells: such a reduction cannot be refitted inside cross-validation.
"""

import numpy as np
import numpy.typing as npt
import pandas as pd

from stagewright.stages.reduction.optional_package import require_package
from stagewright.stages.reduction.pca import Decomposition, components
from stagewright.stages.reduction.reduction import Reduction, fix_signs
from stagewright.stages.reduction.regression_loadings import regression_loadings
from stagewright.stages.reduction.view import View

__all__ = ["fit_harmony"]

ROUNDS = 20
FEWEST_BATCHES = 2


def fit_harmony(
    view: View, found: Decomposition, k: int, *, batch: npt.NDArray[np.str_] | None, seed: int
) -> Reduction:
    """Correct the first k principal components for a batch.

    Parameters
    ----------
    view
        The standardised matrix.
    found
        Its principal components, at least k.
    k
        Number of components.
    batch
        Batch of each cell, shape (n_cells,), at least two different ones.
    seed
        Of Harmony's clustering.

    Returns
    -------
    Reduction
        `scores` are the corrected components, `loadings` the genes' regression on them, `extras["explained"]` the
        share of the genes' variance that this regression explains, `objective` the share left. `arrays["variances"]`
        (k,) are those of the scores.

    Raises
    ------
    ModuleNotFoundError
        The package is not installed.
    ValueError
        There are no batches to correct for, or k is above the rank.
    """
    require_package("harmony")
    from harmonypy import run_harmony  # noqa: PLC0415 - optional

    if batch is None:
        raise ValueError("harmony is given no batch of the cells; name an obs column in reduction.harmony.batch.")
    levels, sizes = np.unique(batch, return_counts=True)
    if len(levels) < FEWEST_BATCHES:
        raise ValueError(f"all cells are of the batch {str(levels[0])!r}: nothing is to correct. Leave harmony out.")
    plain = components(view, found, k)
    table = pd.DataFrame({"batch": batch})
    fitted = run_harmony(
        plain.scores.astype(np.float64),
        table,
        "batch",
        max_iter_harmony=ROUNDS,
        random_state=seed,
        ncores=1,  # sums in another order would change bits
        verbose=False,
    )
    scores = np.asarray(fitted.Z_corr, dtype=np.float64)
    if scores.shape != plain.scores.shape:
        scores = scores.T
    loadings, explained = regression_loadings(view, scores)
    signs = fix_signs(loadings)
    rounds = len(fitted.objective_harmony) - 1
    return Reduction(
        method="harmony",
        k=k,
        scores=(scores * signs).astype(np.float32),
        loadings=(loadings * signs).astype(np.float32),
        extras={
            "explained": explained,
            "converged": rounds < ROUNDS,
            "n_iter": rounds,
            "objective": 1 - explained,
            "seed": seed,
            "n_batches": len(levels),
            "smallest_batch": int(sizes.min()),
            "explained_before": plain.extras["explained"],
            "n_constant_genes": plain.extras["n_constant_genes"],
        },
        arrays={"variances": scores.var(axis=0), "gene_mean": view.mean, "gene_sd": view.sd},
    )
