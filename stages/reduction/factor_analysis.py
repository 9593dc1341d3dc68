"""Maximum-likelihood factor analysis of the standardised matrix."""

import numpy as np
import numpy.typing as npt
from scipy import sparse

from stagewright.stages.reduction.correlation import correlation as correlate
from stagewright.stages.reduction.factor_likelihood import LOWEST_UNIQUENESS, FactorFit, maximise_likelihood
from stagewright.stages.reduction.factor_scores import ESTIMATORS, Estimator, score_weights
from stagewright.stages.reduction.reduction import Reduction, fix_signs
from stagewright.stages.reduction.rotation import ROTATIONS, rotate
from stagewright.stages.reduction.standardise import standardise
from stagewright.stages.reduction.view import Float64Array, View

LOWEST_START = 0.5
"""Starts nearer to 0 give single genes a weight that ends in poorer maxima of the likelihood more often."""


def fit_fa(  # noqa: PLR0913 - keyword-only settings of one fit
    x: sparse.csr_matrix | View,
    k: int,
    *,
    seed: int,
    rotation: str | None = None,
    correlation: npt.NDArray[np.float32] | None = None,
    start: Float64Array | None = None,
    n_starts: int = 1,
    estimator: Estimator = "regression",
    tolerance: float = 1e-8,
    max_iter: int = 200,
) -> Reduction:
    """Fit z = W f + e with f ~ N(0, I), e ~ N(0, diag(psi)) to the standardised matrix z.

    Parameters
    ----------
    x
        CSR matrix of shape (n_cells, n_genes), usually log-normalised expression, or a standardised view.
    k
        Number of factors; below the number of varying genes and of cells.
    seed
        Draws the uniquenesses to start from, uniform in [0.5, 1]. The likelihood can have several maxima; different
        seeds that agree say that they found the same one.
    rotation
        None or "none", "varimax" (Kaiser-normalised) or "promax" (oblique).
    correlation
        The correlation matrix of the genes if it is at hand: one serves every K and seed. Computed when None.
    start
        Uniquenesses to start from first, shape (n_genes,), in (0, 1], instead of random ones.
    n_starts
        Starts to try, the best of which is returned; `extras["loglike_by_start"]` has the spread.
    estimator
        Of the scores; see `score_weights`.
    tolerance
        Stop when a step is expected to gain less than this share of the objective.
    max_iter
        The most steps; reaching it leaves `converged` False.

    Returns
    -------
    Reduction
        `loadings`: W after rotation (the pattern matrix when oblique). `scores`: estimates of the factors by
        the estimator that `extras["scores"]` names. `arrays`: `uniquenesses` (n_genes,), with promax
        `factor_correlation` (k, k), and `gene_mean` and `gene_sd`, what the genes were standardised by. A constant
        gene has loadings 0 and uniqueness 1. `extras`: `explained`, the communality sum(W**2) as a share of
        the total variance; `loglike`, the mean log-likelihood per cell over the varying genes (higher is better);
        `objective`, its negative; `n_at_bound`, genes at the lowest uniqueness 0.005 (Heywood cases).

    Raises
    ------
    ValueError
        `k`, `rotation`, `start`, `n_starts`, `estimator` or `correlation` does not fit the matrix.
    """
    view: View = standardise(x) if sparse.issparse(x) else x
    n_cells, n_genes = view.shape
    largest = min(view.n_varying, n_cells) - 1
    if not 1 <= k <= largest:
        raise ValueError(
            f"k is {k}; factor analysis of {n_cells} cells and {view.n_varying} varying genes takes 1 to {largest}."
        )
    if rotation is not None and rotation not in ROTATIONS:
        raise ValueError(f"Unknown rotation {rotation!r}; allowed are {', '.join(ROTATIONS)}.")
    if estimator not in ESTIMATORS:
        raise ValueError(f"Unknown estimator of factor scores {estimator!r}; allowed are {', '.join(ESTIMATORS)}.")
    matrix = correlate(view) if correlation is None else correlation
    if matrix.shape != (n_genes, n_genes):
        raise ValueError(f"correlation has shape {matrix.shape}; the matrix has {n_genes} genes. Compute it anew.")
    rng = np.random.Generator(np.random.PCG64(seed))
    if start is not None and (start.shape != (n_genes,) or not ((start > 0) & (start <= 1)).all()):
        raise ValueError(f"start needs shape ({n_genes},) with values in (0, 1].")
    if n_starts < 1:
        raise ValueError(f"n_starts is {n_starts}; at least one start is needed.")
    fits: list[FactorFit] = []
    for number in range(n_starts):
        drawn = rng.uniform(LOWEST_START, 1.0, n_genes)
        first = drawn if start is None or number else start.astype(np.float64)
        fits.append(maximise_likelihood(matrix, k, first, rng, tolerance=tolerance, max_iter=max_iter))
    fit = min(fits, key=lambda candidate: candidate.objective)

    varying = view.inverse_sd > 0
    n_constant = n_genes - view.n_varying
    # A constant gene stood in as an independent one of unit variance: psi = 1 adds 1 / 2 to the objective.
    shift = view.n_varying * np.log(2 * np.pi) / 2 - n_constant / 2
    plain = np.where(varying[:, None], fit.loadings, 0.0)
    uniquenesses = np.where(varying, fit.uniquenesses, 1.0)
    turned = rotate(plain, rotation)
    order = np.argsort(-(turned.loadings**2).sum(axis=0), kind="stable")
    signs = fix_signs(turned.loadings[:, order])
    loadings = (turned.loadings[:, order] * signs).astype(np.float32)
    arrays: dict[str, npt.NDArray[np.generic]] = {
        "uniquenesses": uniquenesses,
        "gene_mean": view.mean,
        "gene_sd": view.sd,
    }
    correlated = np.eye(k)
    if rotation == "promax":
        correlated = turned.factor_correlation[np.ix_(order, order)] * np.outer(signs, signs)
        arrays["factor_correlation"] = correlated
    # From the loadings as they are kept, so that whoever has the files can compute the same scores.
    weights = score_weights(loadings.astype(np.float64), uniquenesses, correlated, estimator)
    return Reduction(
        method="fa",
        k=k,
        scores=view.project(weights).astype(np.float32),
        loadings=loadings,
        extras={
            "explained": float((plain**2).sum() / view.n_varying),
            "converged": fit.converged,
            "n_iter": fit.n_iter,
            "objective": float(fit.objective + shift),
            "loglike": -float(fit.objective + shift),
            "loglike_by_start": [-float(candidate.objective + shift) for candidate in fits],
            "seed": seed,
            "rotation": rotation or "none",
            "scores": estimator,
            "rotation_converged": turned.converged,
            "n_at_bound": int(np.count_nonzero(uniquenesses <= LOWEST_UNIQUENESS * (1 + 1e-9))),
            "n_constant_genes": n_constant,
            "tolerance": tolerance,
        },
        arrays=arrays,
    )
