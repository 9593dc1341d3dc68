"""Hold each configuration's observed score against its scores under permuted labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from stagewright.stages.negative_controls.chance import chance_interval
from stagewright.stages.negative_controls.within_strata import WithinStrata
from stagewright.stages.plan1_tables import SummaryRow, best_row, eligible

__all__ = [
    "Best",
    "Configuration",
    "Scored",
    "best_under_permutation",
    "configuration_of",
    "empirical_p",
    "model_of",
    "summary_row",
]

Configuration: TypeAlias = tuple[str, str, str]
"""Preprocess, method and model."""


@dataclass(frozen=True, slots=True)
class Scored:
    """What one configuration scores under several labellings, in their order.

    Attributes
    ----------
    scores
        The stage's own score.
    within
        The AUC within strata; none for cells that the model was fitted on, of which no value is expected.
    """

    scores: list[float] = field(default_factory=list)
    within: list[WithinStrata] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Best:
    """The best score of a grid, and how it compares with the best of the same grid under permuted labels.

    Attributes
    ----------
    observed
        Under the observed labels.
    permuted
        For each permutation, the best score of its grid: the search is repeated, and so is its reward.
    """

    observed: float
    permuted: tuple[float, ...]

    @property
    def p(self) -> float:
        """Share of the labellings, the observed one included, whose best score is at least the observed."""
        return empirical_p(self.observed, self.permuted)

    @property
    def excess(self) -> float:
        """The observed best minus the highest of the permuted ones."""
        return self.observed - max(self.permuted)


def model_of(row: Mapping[str, object]) -> str:
    """Return the name of a row's model: its penalty, in Plan 1C with mode and downsampling, e.g. ``pooled.none.l1``."""
    return ".".join(str(row[name]) for name in ("mode", "downsampling", "penalty") if name in row)


def configuration_of(row: SummaryRow) -> Configuration:
    """Return which configuration a row of a stage's summary is."""
    return str(row["preprocess"]), str(row["method"]), model_of(row)


def empirical_p(observed: float, permuted: Sequence[float]) -> float:
    """Return (1 + permuted scores at or above the observed one) / (1 + permutations): never 0.

    The observed labelling is one of those that were drawn from (Phipson & Smyth 2010, SAGMB 9:39).

    >>> empirical_p(0.9, [0.5, 0.95, 0.4])
    0.5
    """
    return (1 + sum(score >= observed for score in permuted)) / (1 + len(permuted))


def summary_row(
    stage: str,
    column: str,
    row: SummaryRow,
    observed_within: WithinStrata | None,
    permuted: Scored,
    n_configurations: int,
) -> SummaryRow:
    """Return the row of one configuration in Plan 2's summary.

    Parameters
    ----------
    column
        The score in `row`, which is the observed one.
    observed_within
        The AUC within strata under the observed labels.
    permuted
        The same in each permutation; at least one.
    n_configurations
        How many are looked at together, for the chance interval.
    """
    observed, scores = float(row[column]), np.asarray(permuted.scores, dtype=np.float64)
    mean = float(scores.mean())
    sd = float(scores.std(ddof=1)) if scores.size > 1 else float("nan")
    inside = [one.median for one in permuted.within if one.auc]
    chance = chance_interval(permuted.within[0].counts, n_configurations) if inside else None
    inside_mean = float(np.mean(inside)) if inside else float("nan")
    seen_within = float("nan") if observed_within is None else observed_within.median
    return {
        "stage": stage,
        "preprocess": row["preprocess"],
        "supervised": row["supervised"],
        "method": row["method"],
        "k": row["k"],
        "penalty": model_of(row),
        "score": column,
        "n_patients": row["n_patients"],
        "observed": observed,
        "permutations": int(scores.size),
        "permuted_mean": mean,
        "permuted_sd": sd,
        "permuted_min": float(scores.min()),
        "permuted_max": float(scores.max()),
        "excess": observed - float(scores.max()),
        "p": empirical_p(observed, permuted.scores),
        "z": (observed - mean) / sd if sd > 0 else float("nan"),
        "observed_within_strata": seen_within,
        "permuted_within_strata": inside_mean,
        "p_within_strata": empirical_p(seen_within, inside) if inside and seen_within > 0 else float("nan"),
        "chance_low": float("nan") if chance is None else chance.low,
        "chance_high": float("nan") if chance is None else chance.high,
        "above_chance": chance is not None and inside_mean > chance.high,
    }


def best_under_permutation(
    column: str, observed: Sequence[SummaryRow], permuted: Mapping[int, Sequence[SummaryRow]], scope: str
) -> Best:
    """Compare the best configurations, each chosen by the rule that chooses the observed one.

    Parameters
    ----------
    permuted
        The rows of each permutation's grid.
    scope
        What cross-validation fits again in each training fold.
    """
    chosen = [best_row(eligible(rows, scope), column) for _, rows in sorted(permuted.items())]
    return Best(float(best_row(eligible(observed, scope), column)[column]), tuple(float(row[column]) for row in chosen))
