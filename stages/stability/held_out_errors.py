"""Errors of predicting held-out cells, summed over groups of cells: R2, its standard error, and gains between fits."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["HeldOutErrors"]


@dataclass(frozen=True, slots=True)
class HeldOutErrors:
    """How well one fit predicts held-out cells, group by group.

    Groups are patients: cells of one patient resemble one another, so that the spread over cells would promise more
    certainty than the next patient keeps. All standard errors are those of a ratio of sums over clusters (Cochran
    1977, Sampling Techniques, section 6), with n / (n - 1).

    Attributes
    ----------
    errors
        Sum of squared errors of each group, on the standardised scale.
    totals
        Sum of squares of each group about the training cells' means, on the same scale; positive in sum.
    """

    errors: tuple[float, ...]
    totals: tuple[float, ...]

    def __post_init__(self) -> None:
        """Check that there is something to divide by."""
        if len(self.errors) != len(self.totals) or not self.totals:
            raise ValueError(f"{len(self.errors)} errors and {len(self.totals)} totals; give one of each per group.")
        if not all(math.isfinite(value) for value in (*self.errors, *self.totals)) or sum(self.totals) <= 0:
            raise ValueError("the held-out cells do not vary, or a sum over them is not finite; check the expression.")

    @property
    def r2(self) -> float:
        """Share of the held-out cells' sum of squares that is predicted: at most 1, below 0 if the means do better."""
        return 1 - sum(self.errors) / sum(self.totals)

    @property
    def standard_error(self) -> float | None:
        """Standard error of `r2` over groups; None with one group."""
        return self._spread(self.errors, 1 - self.r2)

    def gain_over(self, other: "HeldOutErrors") -> tuple[float, float | None]:
        """Return by how much `r2` exceeds that of another fit on the same cells, and the difference's standard error.

        Paired by group: what makes a patient hard to predict is the same for both fits and cancels.

        Raises
        ------
        ValueError
            The fits predicted other cells.
        """
        if len(self.totals) != len(other.totals) or not all(
            math.isclose(mine, theirs, rel_tol=1e-6) for mine, theirs in zip(self.totals, other.totals, strict=True)
        ):
            raise ValueError("the two fits predicted other cells, so that their errors cannot be compared")
        less = [theirs - mine for mine, theirs in zip(self.errors, other.errors, strict=True)]
        gain = self.r2 - other.r2
        return gain, self._spread(less, gain)

    def _spread(self, parts: Sequence[float], ratio: float) -> float | None:
        n_groups = len(self.totals)
        if n_groups == 1:
            return None
        squares = sum((part - ratio * total) ** 2 for part, total in zip(parts, self.totals, strict=True))
        return math.sqrt(n_groups / (n_groups - 1) * squares) / sum(self.totals)
