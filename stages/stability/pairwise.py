"""Stability of the components over repeated fits, from all pairs of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from stagewright.stages.stability.matching import Loadings, Measure, partners, similarity_blocks

LOW_SIMILARITY = 0.3
"""Below this a component counts as not found again."""

SummaryValue = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class PairwiseStability:
    """Agreement of n_fits fits at one K. All similarities are absolute, in [0, 1]; higher is more stable.

    Attributes
    ----------
    applicable
        False with fewer than two fits: then there is nothing to compare, `reason` says so, and the rest is empty.
    reason
        Why it does not apply, else "".
    n_fits, k
        Number of fits and of components.
    pairs
        The compared fits (i, j), i < j.
    matched
        Shape (n_pairs, k): similarity of each component of fit i to its partner in fit j, one-to-one.
    highest
        Shape (n_pairs, k): to the most similar one, partners may be shared.
    by_component
        Shape (n_fits, n_fits - 1, k): matched similarity of each component of each fit in each of the other fits.
    """

    applicable: bool
    reason: str
    n_fits: int
    k: int
    pairs: tuple[tuple[int, int], ...]
    matched: npt.NDArray[np.float64]
    highest: npt.NDArray[np.float64]
    by_component: npt.NDArray[np.float64]

    @property
    def mean(self) -> float | None:
        """Mean of the matched similarities; None when not applicable."""
        return float(self.matched.mean()) if self.applicable else None

    @property
    def median(self) -> float | None:
        """Median of the matched similarities; None when not applicable."""
        return float(np.median(self.matched)) if self.applicable else None

    @property
    def per_component(self) -> npt.NDArray[np.float64]:
        """Mean over the other fits of the matched similarity of each component, shape (n_fits, k)."""
        return self.by_component.mean(axis=1) if self.applicable else np.empty((0, self.k))

    @property
    def tenth_percentile(self) -> float | None:
        """A tenth of the matched similarities are lower; None when not applicable."""
        return float(np.quantile(self.matched, 0.1)) if self.applicable else None

    @property
    def fraction_low(self) -> float | None:
        """Share of matched similarities below 0.3 (lower is more stable); None when not applicable."""
        return float((self.matched < LOW_SIMILARITY).mean()) if self.applicable else None

    def summary(self) -> dict[str, SummaryValue]:
        """Give the figures of `pairwise_stability_summary.json`."""
        return {
            "applicable": self.applicable,
            "reason": self.reason,
            "n_fits": self.n_fits,
            "n_pairs": len(self.pairs),
            "k": self.k,
            "mean": self.mean,
            "median": self.median,
            "minimum": float(self.matched.min()) if self.applicable else None,
            "fraction_below_0.3": self.fraction_low,
            "row_maximum_mean": float(self.highest.mean()) if self.applicable else None,
            "row_maximum_median": float(np.median(self.highest)) if self.applicable else None,
        }


def pairwise_stability(loadings: Sequence[Loadings], *, measure: Measure = "correlation") -> PairwiseStability:
    """Compare all pairs of fits by the best one-to-one pairing of their components.

    Parameters
    ----------
    loadings
        One array of shape (n_genes, k) per fit, at least one. A seed-invariant method has one fit, and its
        stability is not applicable: repeating it would measure rounding.
    measure
        "correlation" (Pearson) or "cosine".

    Raises
    ------
    ValueError
        No fit is given, or the shapes differ.
    """
    if not loadings:
        raise ValueError("No loadings are given; at least one fit is needed.")
    n_fits, k = len(loadings), int(loadings[0].shape[1])
    pairs = tuple(combinations(range(n_fits), 2))
    if not pairs:
        empty = np.empty((0, k))
        return PairwiseStability(
            applicable=False,
            reason="there is one fit only, so there is no pair to compare",
            n_fits=n_fits,
            k=k,
            pairs=(),
            matched=empty,
            highest=empty,
            by_component=np.empty((n_fits, 0, k)),
        )
    blocks = similarity_blocks(loadings, measure=measure)
    matched, by_component = np.empty((len(pairs), k)), np.empty((n_fits, n_fits - 1, k))
    for pair, (i, j) in enumerate(pairs):
        columns = partners(blocks[i, j])
        matched[pair] = blocks[i, j][np.arange(k), columns]
        by_component[i, j - 1] = matched[pair]
        by_component[j, i, columns] = matched[pair]  # the same pairing, seen from the other fit
    highest = np.array([blocks[i, j].max(axis=1) for i, j in pairs])
    return PairwiseStability(
        applicable=True,
        reason="",
        n_fits=n_fits,
        k=k,
        pairs=pairs,
        matched=matched,
        highest=highest,
        by_component=by_component,
    )
