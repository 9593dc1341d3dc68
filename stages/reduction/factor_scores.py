"""Estimates of the factors of cells, as weights on the standardised genes."""

from typing import Literal

import numpy as np
import numpy.typing as npt

__all__ = ["ESTIMATORS", "Estimator", "score_weights"]

Float64Array = npt.NDArray[np.float64]

Estimator = Literal["regression", "bartlett"]
ESTIMATORS: tuple[Estimator, ...] = ("regression", "bartlett")


def score_weights(
    loadings: Float64Array, uniquenesses: Float64Array, factor_correlation: Float64Array, estimator: Estimator
) -> Float64Array:
    """Return V with scores = z @ V.

    "regression" (Thomson 1951) is the posterior mean E[f | z] and has the least squared error; it shrinks towards 0.
    "bartlett" (Bartlett 1937, Br. J. Psychol. 28:97) is unbiased given f and has a larger variance.

    Parameters
    ----------
    loadings
        Pattern matrix, shape (n_genes, k).
    uniquenesses
        Above 0, shape (n_genes,).
    factor_correlation
        Shape (k, k); the identity for orthogonal factors. Bartlett's estimate does not depend on it.
    estimator
        "regression" or "bartlett".

    Returns
    -------
    Float64Array
        Shape (n_genes, k).

    Raises
    ------
    ValueError
        The estimator is unknown, or a factor has no loadings, so that Bartlett's estimate of it does not exist.
    """
    if estimator not in ESTIMATORS:
        raise ValueError(f"Unknown estimator of factor scores {estimator!r}; allowed are {', '.join(ESTIMATORS)}.")
    weighted = loadings / uniquenesses[:, None]
    information = loadings.T @ weighted
    if estimator == "regression":
        information += np.linalg.inv(factor_correlation)
    elif np.linalg.matrix_rank(information, hermitian=True) < len(information):
        raise ValueError(
            "The factors are not independent (one of them may have no loadings), so that Bartlett's scores do not "
            "exist; take scores: regression, or a smaller K."
        )
    return np.asarray(np.linalg.solve(information, weighted.T).T, dtype=np.float64)
