"""Interval of a median or mean over patients, by resampling patients."""

from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEVEL", "N_RESAMPLES", "patient_interval"]

LEVEL = 0.95
N_RESAMPLES = 2000
SEED = 20_261_127
"""One seed for all: intervals of several configurations are then over the same draws of patients."""

_Statistic = Literal["median", "mean"]


def patient_interval(
    values: NDArray[np.float64],
    statistic: _Statistic = "median",
    *,
    level: float = LEVEL,
    n_resamples: int = N_RESAMPLES,
    seed: int = SEED,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the percentile bootstrap interval of a statistic over patients.

    Patients are the units that a study samples, cells within a patient are not: so patients are drawn with replacement,
    each with its score as it is. Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 13. The
    percentile interval, because the acceleration of BCa is not defined for a median.

    Parameters
    ----------
    values
        Scores, shape (n_patients,) or (n_patients, c) for several at once; finite or NaN.

    Returns
    -------
    Lower and upper ends, shape () or (c,). NaN for fewer than two patients, or where a score is NaN.
    """
    scores = np.asarray(values, dtype=np.float64)
    if scores.shape[0] < 2:  # noqa: PLR2004 - one patient shows no spread
        nothing = np.full(scores.shape[1:], np.nan)
        return nothing, nothing.copy()
    drawn = scores[_draws(scores.shape[0], n_resamples, seed)]
    taken = np.median(drawn, axis=1) if statistic == "median" else drawn.mean(axis=1)
    tail = (1.0 - level) / 2
    low, high = np.quantile(taken, (tail, 1.0 - tail), axis=0)
    return low, high


@lru_cache(maxsize=8)
def _draws(n_patients: int, n_resamples: int, seed: int) -> NDArray[np.int64]:
    return np.random.default_rng(seed).integers(0, n_patients, (n_resamples, n_patients))
