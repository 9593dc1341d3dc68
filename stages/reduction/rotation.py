"""Rotation of factor loadings towards simple structure."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Float64Array = npt.NDArray[np.float64]

ROTATIONS = ("none", "varimax", "promax")


@dataclass(frozen=True, slots=True)
class Rotation:
    """A rotated solution.

    Attributes
    ----------
    loadings
        Pattern matrix, shape (n_genes, k): `loadings @ factor_correlation @ loadings.T` is what it was before.
    matrix
        T of shape (k, k) with rotated loadings = old loadings @ T; rotated scores = old scores @ inverse(T)'.
    factor_correlation
        Shape (k, k); the identity after an orthogonal rotation.
    converged
        Whether the varimax criterion stopped rising within its limit of iterations.
    """

    loadings: Float64Array
    matrix: Float64Array
    factor_correlation: Float64Array
    converged: bool


def varimax(loadings: Float64Array, *, tolerance: float = 1e-8, max_iter: int = 1000) -> Rotation:
    """Rotate orthogonally so that the squared loadings vary most within each factor.

    Kaiser (1958, Psychometrika 23:187) with his normalisation (each gene weighs the same), by the simultaneous
    singular-value iteration.

    Parameters
    ----------
    loadings
        Shape (n_genes, k).
    tolerance
        Relative rise of the criterion below which it has converged.
    max_iter
        The most iterations.
    """
    k = loadings.shape[1]
    lengths = np.sqrt((loadings**2).sum(axis=1))
    rows = loadings[lengths > 0] / lengths[lengths > 0, None]
    matrix = np.eye(k)
    last = 0.0
    for _ in range(max_iter):
        rotated = rows @ matrix
        target = rotated**3 - rotated * (rotated**2).mean(axis=0)
        left, singular, right = np.linalg.svd(rows.T @ target)
        matrix = left @ right
        criterion = float(singular.sum())
        if criterion <= last * (1 + tolerance):
            return Rotation(loadings @ matrix, matrix, np.eye(k), converged=True)
        last = criterion
    return Rotation(loadings @ matrix, matrix, np.eye(k), converged=False)


def promax(loadings: Float64Array, *, power: float = 4.0) -> Rotation:
    """Rotate obliquely: varimax, then towards its own loadings raised to a power.

    Hendrickson and White (1964, Br. J. Stat. Psychol. 17:65), on Kaiser-normalised varimax loadings; factors are
    scaled to unit variance.

    Parameters
    ----------
    loadings
        Shape (n_genes, k).
    power
        Higher is more oblique; 4 is the custom.
    """
    first = varimax(loadings)
    rotated = first.loadings
    target = rotated * np.abs(rotated) ** (power - 1)
    towards = np.linalg.lstsq(rotated, target, rcond=None)[0]
    # Columns scaled so that the factors, whose covariance is inverse(T) inverse(T)', have variance 1.
    towards *= np.sqrt(np.diag(np.linalg.inv(towards.T @ towards)))
    matrix = first.matrix @ towards
    inverse = np.linalg.inv(matrix)
    return Rotation(loadings @ matrix, matrix, inverse @ inverse.T, first.converged)


def rotate(loadings: Float64Array, rotation: str | None) -> Rotation:
    """Rotate by name: None or "none", "varimax", "promax"."""
    k = loadings.shape[1]
    if rotation in {None, "none"} or k == 1:
        return Rotation(loadings, np.eye(k), np.eye(k), converged=True)
    if rotation == "varimax":
        return varimax(loadings)
    if rotation == "promax":
        return promax(loadings)
    raise ValueError(f"Unknown rotation {rotation!r}; allowed are {', '.join(ROTATIONS)}.")
