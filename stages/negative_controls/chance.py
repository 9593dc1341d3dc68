"""Where scores lie when expression says nothing about the label: the interval that permuted scores are held against."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

__all__ = ["Chance", "chance_interval"]

LEVEL = 0.01
"""Two-sided, over all configurations of a table together."""
FEW_PATIENTS = 2
"""The median of one or two numbers is their mean."""


@dataclass(frozen=True, slots=True)
class Chance:
    """The interval in which a median AUC over patients lies by chance."""

    low: float
    high: float


def chance_interval(patients: Mapping[str, Sequence[tuple[int, int]]], n_configurations: int) -> Chance:
    """Return where the median over patients of the AUC within strata lies by chance, for one permutation.

    Within a stratum the AUC has the null variance of the Mann-Whitney statistic, (n + 1) / (12 n_positive n_negative);
    a patient's AUC is the mean of those weighted by their pairs. The median of P independent normals with standard
    deviations s_i about 0.5 has, for large P, the standard deviation sqrt(pi P / 2) / sum(1 / s_i); of one or two it is
    the mean. The interval holds 99 % for all configurations of a table together (Bonferroni).

    Parameters
    ----------
    patients
        By patient, the positive and negative cells of each stratum with both; at least one patient.
    n_configurations
        Rows of the table that are looked at together.
    """
    sds = [math.sqrt(_variance(strata)) for strata in patients.values()]
    if len(sds) <= FEW_PATIENTS:
        sd = math.hypot(*sds) / len(sds)
    else:
        sd = math.sqrt(math.pi * len(sds) / 2) / math.fsum(1 / one for one in sds)
    away = NormalDist().inv_cdf(1 - LEVEL / (2 * max(1, n_configurations))) * sd
    return Chance(max(0.0, 0.5 - away), min(1.0, 0.5 + away))


def _variance(strata: Sequence[tuple[int, int]]) -> float:
    """Return the null variance of one patient's AUC over pairs within strata."""
    pairs = math.fsum(positive * negative for positive, negative in strata)
    return math.fsum(p * q * (p + q + 1) / 12.0 for p, q in strata) / pairs**2
