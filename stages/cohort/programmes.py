"""Gene programmes that are planted in the built-in cohort, so that a test can ask whether they are found again.

A programme is a probability distribution over genes: the share of a cell's transcripts that each gene gets from it.
A cell is a mixture of programmes (Kotliar et al. 2019, eLife 8:e43803). The gene sets do not overlap.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

IDENTITIES = ("progenitor", "monocyte", "erythroid", "t_cell", "b_cell")
MALIGNANT = ("malignant_stemness", "malignant_metabolism", "malignant_adhesion")
SHARED = ("cell_cycle", "stress")

IDENTITY_SHARE = 0.022
MALIGNANT_SHARE = 0.02
SHARED_SHARE = 0.022

BASELINE_SPREAD = 2.0
"""Standard deviation of the log of a gene's baseline: most genes are rare, a few are in every cell."""


@dataclass(frozen=True, slots=True)
class Programmes:
    """Planted programmes and the baseline that every cell shares."""

    names: tuple[str, ...]
    """Identity programmes first, then malignant, then shared."""
    kinds: tuple[str, ...]
    """`identity`, `malignant` or `shared`, one for each name."""
    weights: NDArray[np.float64]
    """Array of shape (n_programmes, n_genes); each row sums to 1 and is zero outside the programme's genes."""
    baseline: NDArray[np.float64]
    """Array of shape (n_genes,), sums to 1."""

    def rows(self, kind: str) -> NDArray[np.intp]:
        """Give the row numbers of one kind of programme."""
        return np.flatnonzero(np.asarray(self.kinds) == kind)


def plant_programmes(rng: np.random.Generator, n_genes: int) -> Programmes:
    """Draw disjoint gene sets and their weights.

    Parameters
    ----------
    rng
        Source of randomness; advanced.
    n_genes
        Number of genes; each programme takes about 2 % of them.

    Returns
    -------
    The programmes; a gene's weight in its programme follows a gamma distribution of shape 2.
    """
    names = IDENTITIES + MALIGNANT + SHARED
    kinds = ("identity",) * len(IDENTITIES) + ("malignant",) * len(MALIGNANT) + ("shared",) * len(SHARED)
    share = {"identity": IDENTITY_SHARE, "malignant": MALIGNANT_SHARE, "shared": SHARED_SHARE}
    order = rng.permutation(n_genes)
    weights = np.zeros((len(names), n_genes))
    start = 0
    for row, kind in enumerate(kinds):
        size = round(share[kind] * n_genes)
        genes = order[start : start + size]
        weights[row, genes] = rng.gamma(2.0, size=size)
        start += size
    weights /= weights.sum(axis=1, keepdims=True)
    baseline = rng.lognormal(sigma=BASELINE_SPREAD, size=n_genes)
    return Programmes(names=names, kinds=kinds, weights=weights, baseline=baseline / baseline.sum())
