"""Centre and scale features by the mean and standard deviation of given cells."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Standardisation", "fit_standardisation"]


@dataclass(frozen=True, slots=True)
class Standardisation:
    """Mean and scale of each feature, shape (p,); the scale of a constant feature is 1."""

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]

    def apply(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (x - mean) / scale for features of shape (n, p)."""
        standardised: NDArray[np.float64] = (x - self.mean) / self.scale
        return standardised


def fit_standardisation(x: NDArray[np.float64]) -> Standardisation:
    """Mean and standard deviation (ddof 0) of the features, shape (n, p), of the cells given.

    A feature is constant when its largest and smallest value are equal. Its mean is then that value, so that it becomes
    exactly 0, and its scale is 1: rounding in the mean would otherwise turn it into noise of any size.
    """
    mean, scale = x.mean(axis=0), x.std(axis=0)
    lowest = x.min(axis=0)
    constant = lowest == x.max(axis=0)
    # A spread that underflows has no usable scale either.
    return Standardisation(mean=np.where(constant, lowest, mean), scale=np.where(constant | (scale == 0.0), 1.0, scale))
