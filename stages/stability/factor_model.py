"""A reduction as a Gaussian factor model z = L f + e, f ~ N(0, I), e ~ N(0, diag(psi)): scores and likelihood."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stagewright.stages.reduction.reduction import Reduction
from stagewright.stages.reduction.standardise import Float64Array

__all__ = ["FactorModel", "Likelihood", "factor_model"]

LOWEST_NOISE = 0.005
"""As the lowest uniqueness of factor analysis: below it a gene would be known without error."""


@dataclass(frozen=True, slots=True)
class Likelihood:
    """The likelihood of a factor model, ready for many cells.

    That of a cell z is minus half of `constant` + |z / deviations|^2 - |(z / deviations) @ whitened|^2, because
    Sigma^-1 = psi^-1 - psi^-1 L M^-1 L' psi^-1 (Woodbury).

    Attributes
    ----------
    whitened
        psi^-1/2 L M^-1/2 with M = I + L' psi^-1 L, shape (n_genes, k).
    deviations
        psi^1/2, shape (n_genes,).
    constant
        log det of the covariance plus n_genes * log(2 pi).
    """

    whitened: Float64Array
    deviations: Float64Array
    constant: float


@dataclass(frozen=True, slots=True)
class FactorModel:
    """Loadings L of shape (n_genes, k) on independent factors of unit variance, and noise psi of shape (n_genes,)."""

    loadings: Float64Array
    noise: Float64Array

    def restricted(self, genes: npt.NDArray[np.bool_] | npt.NDArray[np.intp] | slice) -> "FactorModel":
        """Return the model of some of the genes: their marginal distribution."""
        return FactorModel(self.loadings[genes], self.noise[genes])

    def posterior_weights(self) -> Float64Array:
        """Return B of shape (n_genes, k) such that z @ B is E[f | z], the regression estimate (Thomson 1951)."""
        weighted = self.loadings / self.noise[:, None]
        precision = np.eye(self.loadings.shape[1]) + self.loadings.T @ weighted
        return np.asarray(np.linalg.solve(precision, weighted.T).T, dtype=np.float64)

    def likelihood(self) -> Likelihood:
        """Return the likelihood of cells of these genes."""
        deviations = np.sqrt(self.noise)
        scaled = self.loadings / deviations[:, None]
        lower = np.linalg.cholesky(np.eye(self.loadings.shape[1]) + scaled.T @ scaled)
        constant = np.log(self.noise).sum() + 2 * np.log(np.diag(lower)).sum() + len(self.noise) * np.log(2 * np.pi)
        return Likelihood(np.asarray(np.linalg.solve(lower, scaled.T).T, dtype=np.float64), deviations, float(constant))


def factor_model(reduction: Reduction, n_varying: int) -> FactorModel:
    """Read a fit of pca or fa as a factor model.

    For pca, L = V (variances - s)^1/2 with s the mean variance of the directions left out (Tipping & Bishop 1999, J. R.
    Stat. Soc. B 61:611). For fa, rotations do not matter: oblique factors are turned into independent ones.

    Parameters
    ----------
    n_varying
        Genes that are not constant, the total variance of the standardised matrix.

    Raises
    ------
    ValueError
        The method is another.
    """
    loadings = np.asarray(reduction.loadings, dtype=np.float64)
    if "uniquenesses" in reduction.arrays:
        noise = np.asarray(reduction.arrays["uniquenesses"], dtype=np.float64)
        if "factor_correlation" in reduction.arrays:
            loadings = loadings @ np.linalg.cholesky(reduction.arrays["factor_correlation"].astype(np.float64))
        return FactorModel(loadings, np.maximum(noise, LOWEST_NOISE))
    if "variances" in reduction.arrays:
        variances = np.asarray(reduction.arrays["variances"], dtype=np.float64)
        left = (n_varying - float(variances.sum())) / max(n_varying - reduction.k, 1)
        noise_level = max(left, LOWEST_NOISE)
        return FactorModel(
            loadings * np.sqrt(np.maximum(variances - noise_level, 0.0)), np.full(len(loadings), noise_level)
        )
    raise ValueError(f"{reduction.method} has no linear model of the genes, so that it cannot predict held-out genes")
