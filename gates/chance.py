"""Where the scores of permuted labels lie by chance: the upper end of the interval that holds them."""

import math
from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist

import numpy as np

__all__ = ["upper_end"]

FEW_PATIENTS = 2
"""The median of one or two numbers is their mean."""
HALVINGS = 50


def upper_end(sds: Sequence[float], n_configurations: int, level: float, spread: float = 1.0) -> float:
    """Return the upper end of the interval in which a median AUC over patients lies by chance, at most 1.

    The median of P independent normals with standard deviations s_i about 0.5 has, for large P, the standard deviation
    sqrt(pi P / 2) / sum(1 / s_i); of one or two it is their mean. Where few patients differ much in size the formula is
    too narrow: of one large and two small patients the median lies beyond any bound as often as both small ones do. The
    end is therefore never below the quantile of the order statistic.

    Parameters
    ----------
    sds
        Standard deviation of each patient's AUC if scores were drawn without regard to the labels; at least one.
    n_configurations
        How many are looked at together (Bonferroni).
    level
        Share of what lies outside of the interval, two-sided, over all configurations together.
    spread
        By how much wider scores lie than if they were drawn so.
    """
    return min(1.0, 0.5 + spread * _away(tuple(sorted(sds)), level / (2 * n_configurations)))


@lru_cache
def _away(sds: tuple[float, ...], tail: float) -> float:
    """Return what the median of independent normals about 0 exceeds with the probability `tail`, or more."""
    z = NormalDist().inv_cdf(1 - tail)
    if len(sds) <= FEW_PATIENTS:
        return z * math.hypot(*sds) / len(sds)
    normal = z * math.sqrt(math.pi * len(sds) / 2) / math.fsum(1 / one for one in sds)
    middle = {(len(sds) + 1) // 2, len(sds) // 2 + 1}  # one or two, of which the median is the mean
    return max(normal, math.fsum(_exceeded(sds, count, tail) for count in middle) / len(middle))


def _exceeded(sds: tuple[float, ...], count: int, tail: float) -> float:
    """Return what at least `count` of independent normals about 0 exceed with the probability `tail`."""
    low, high = 0.0, 40 * sds[-1]
    for _ in range(HALVINGS):
        at = (low + high) / 2
        found = np.zeros(count + 1)  # probability of 0, 1, ... exceeding `at`; the last is of `count` or more
        found[0] = 1.0
        for sd in sds:
            one = 0.5 * math.erfc(at / sd / math.sqrt(2))
            risen = one * found[:-1]
            found[:-1] -= risen
            found[1:] += risen
        low, high = (at, high) if found[-1] > tail else (low, at)
    return high
