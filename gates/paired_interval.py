"""Interval of a paired difference over patients."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["paired_interval"]

LEVEL = 0.95
RESAMPLES = 2000
SEED = 20_261_127


def paired_interval(first: NDArray[np.float64], second: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the median over patients of the difference of two scores, and its 95 % interval by bootstrap.

    Patients are drawn with replacement, each with both of its scores, 2,000 times under a fixed seed; the interval is
    that of the percentiles (Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13).

    Parameters
    ----------
    first, second
        Scores, shape (n_patients,), patients in the same order.

    Returns
    -------
    Median of `first` minus `second`, lower and upper end. The ends are NaN for fewer than two patients.
    """
    difference = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    if difference.size < 2:  # noqa: PLR2004 - one patient shows no spread
        return float(np.median(difference)) if difference.size else float("nan"), float("nan"), float("nan")
    draws = np.random.default_rng(SEED).integers(0, difference.size, (RESAMPLES, difference.size))
    medians = np.median(difference[draws], axis=1)
    low, high = np.quantile(medians, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return float(np.median(difference)), float(low), float(high)
