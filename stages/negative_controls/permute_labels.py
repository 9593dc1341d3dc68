"""Permute the labels of cells within strata, so that they keep their counts there and lose their tie to expression."""

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["Stratum", "permute_labels", "strata_of", "stratum_numbers"]


@dataclass(frozen=True, slots=True)
class Stratum:
    """Cells among which labels are exchanged.

    Attributes
    ----------
    name
        The levels that its cells share, e.g. ``P01 / MRD``.
    rows
        Positions of its cells among the cohort's, shape (n,), ascending.
    n_positive
        Cells of the positive class among them.
    """

    name: str
    rows: NDArray[np.intp]
    n_positive: int

    @property
    def n_negative(self) -> int:
        """Cells of the negative class among them."""
        return len(self.rows) - self.n_positive

    @property
    def permutable(self) -> bool:
        """Whether there are cells of both classes; a stratum with one class stays as it is."""
        return 0 < self.n_positive < len(self.rows)

    @property
    def log10_arrangements(self) -> float:
        """How many different labellings there are, as a power of ten; 0 where there is one."""
        n = len(self.rows)
        logs = math.lgamma(n + 1) - math.lgamma(self.n_positive + 1) - math.lgamma(self.n_negative + 1)
        return max(0.0, logs / math.log(10))


def strata_of(obs: pd.DataFrame, columns: Sequence[str], positive: NDArray[np.bool_]) -> list[Stratum]:
    """Return the strata: the cells of each combination of levels that occurs, ordered by name.

    Parameters
    ----------
    obs
        One row a cell.
    columns
        Of `obs`, at least one.
    positive
        Class of each cell, shape (n_cells,).
    """
    levels = obs[list(columns)].astype(str)
    found = levels.groupby(list(columns), observed=True, sort=True).indices
    strata = []
    for key, places in found.items():
        rows = np.sort(np.asarray(places, dtype=np.intp))
        name = " / ".join(key) if isinstance(key, tuple) else str(key)
        strata.append(Stratum(name, rows, int(positive[rows].sum())))
    return sorted(strata, key=lambda stratum: stratum.name)


def stratum_numbers(strata: Sequence[Stratum], cells: pd.Index) -> pd.Series:
    """Return the place of each cell's stratum in `strata`, by cell name."""
    numbers = np.empty(len(cells), dtype=np.int64)
    for number, stratum in enumerate(strata):
        numbers[stratum.rows] = number
    return pd.Series(numbers, index=cells)


def permute_labels(
    positive: NDArray[np.bool_], strata: Sequence[Stratum], *, seed: int, number: int
) -> NDArray[np.bool_]:
    """Permute the labels within each stratum, uniformly over all arrangements.

    Parameters
    ----------
    positive
        Class of each cell, shape (n_cells,); left untouched.
    strata
        Disjoint, from `strata_of`.
    seed, number
        Seed of the study's permutations, and which one of them. A stratum's draw depends on these, its name and its own
        cells alone: not on the other strata, nor on how many permutations there are.

    Returns
    -------
    Boolean array of shape (n_cells,), with the same number of positive cells in each stratum.
    """
    permuted = positive.copy()
    for stratum in strata:
        if stratum.permutable:
            generator = np.random.default_rng([seed, number, zlib.crc32(stratum.name.encode())])
            permuted[stratum.rows] = generator.permutation(positive[stratum.rows])
    return permuted
