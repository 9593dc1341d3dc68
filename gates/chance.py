"""Where the scores of permuted labels lie by chance: the upper end of the interval that holds them."""

import math
from collections.abc import Sequence
from statistics import NormalDist

__all__ = ["upper_end"]

FEW_PATIENTS = 2
"""The median of one or two numbers is their mean."""


def upper_end(sds: Sequence[float], n_configurations: int, level: float, spread: float = 1.0) -> float:
    """Return the upper end of the interval in which a median AUC over patients lies by chance, at most 1.

    The median of P independent normals with standard deviations s_i about 0.5 has, for large P, the standard deviation
    sqrt(pi P / 2) / sum(1 / s_i); of one or two it is their mean.

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
    if len(sds) <= FEW_PATIENTS:
        sd = math.hypot(*sds) / len(sds)
    else:
        sd = math.sqrt(math.pi * len(sds) / 2) / math.fsum(1 / one for one in sds)
    return min(1.0, 0.5 + NormalDist().inv_cdf(1 - level / (2 * n_configurations)) * spread * sd)
