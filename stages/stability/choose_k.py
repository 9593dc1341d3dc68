"""The rule that picks K for one method, with its reason in one sentence.

A step up to a K is worth it when each component it adds explains at least 10 % of what a component explained on average
at the next smaller K of the list: gain = ((E - E') / (K - K')) / (E' / K') >= 0.1. The smallest K has no step and
counts as worth it.

With replicates: among the K whose median stability reaches the floor, the largest one that is worth its step. If there
is none, the most stable K, the smaller one of equals.
Without replicates (a seed-invariant method, or one seed): the last K before the first step that is not worth it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

STABILITY_FLOOR = 0.5
WORTHWHILE_GAIN = 0.1


@dataclass(frozen=True, slots=True)
class KRow:
    """What is known of one K.

    Attributes
    ----------
    k
        Number of components.
    median_stability
        In [0, 1], higher is more stable; None where stability does not apply.
    explained
        In [0, 1], higher is better; the mean over the replicates.
    """

    k: int
    median_stability: float | None
    explained: float


@dataclass(frozen=True, slots=True)
class KChoice:
    """The chosen K.

    Attributes
    ----------
    k
        The choice.
    reason
        One sentence with the figures that decided.
    shortlist
        Every K that meets the rule's conditions, increasing, with the chosen one among them.
    """

    k: int
    reason: str
    shortlist: tuple[int, ...]


def choose_k(
    rows: Sequence[KRow], *, stability_floor: float = STABILITY_FLOOR, worthwhile_gain: float = WORTHWHILE_GAIN
) -> KChoice:
    """Apply the rule in this module's docstring.

    Parameters
    ----------
    rows
        One per K, in any order.
    stability_floor
        Lowest median stability that is good enough, in [0, 1].
    worthwhile_gain
        Lowest gain that makes a step worth it, as a share of the average before.

    Raises
    ------
    ValueError
        There is no row, a K occurs twice, a figure is not a number, or only some rows have a stability.
    """
    ordered = sorted(rows, key=lambda row: row.k)
    _check(ordered)
    gains = _gains(ordered)
    worthwhile = [row.k for row in ordered if gains[row.k] is None or (gains[row.k] or 0.0) >= worthwhile_gain]
    if ordered[0].median_stability is None:
        return _by_explained(ordered, gains, worthwhile, worthwhile_gain)
    stability = {row.k: row.median_stability or 0.0 for row in ordered}
    stable = [k for k in stability if stability[k] >= stability_floor]
    shortlist = tuple(k for k in stable if k in worthwhile)
    if shortlist:
        k = shortlist[-1]
        return KChoice(
            k,
            f"K = {k} is the largest K with a median stability of at least {stability_floor:g} "
            f"(it has {stability[k]:.3f}) {_step_text(gains[k], worthwhile_gain)}.",
            shortlist,
        )
    k = max(stability, key=lambda candidate: (stability[candidate], -candidate))
    why = "no K reaches" if not stable else "no K that is worth its step reaches"
    return KChoice(
        k,
        f"K = {k} is the most stable K (median stability {stability[k]:.3f}), because {why} {stability_floor:g}.",
        (k,),
    )


def _by_explained(
    ordered: Sequence[KRow], gains: dict[int, float | None], worthwhile: Sequence[int], worthwhile_gain: float
) -> KChoice:
    leading: list[int] = []
    for row in ordered:
        if row.k not in worthwhile:
            break
        leading.append(row.k)
    k = leading[-1]
    following = next((row.k for row in ordered if row.k > k), None)
    if following is None:
        after = "and no larger K was tried"
    else:
        after = f"and each component added up to K = {following} would explain only {gains[following] or 0.0:.0%} of it"
    return KChoice(
        k,
        f"Stability does not apply, so explained variance decides: K = {k} explains "
        f"{ordered[len(leading) - 1].explained:.3f} {_step_text(gains[k], worthwhile_gain)}, {after}.",
        tuple(leading),
    )


def _step_text(gain: float | None, worthwhile_gain: float) -> str:
    if gain is None:
        return "and it is the smallest K tried"
    return (
        f"and each component added since the next smaller K explains {gain:.0%} of the average before "
        f"(at least {worthwhile_gain:.0%} is asked for)"
    )


def _gains(ordered: Sequence[KRow]) -> dict[int, float | None]:
    """Gain of the step up to each K; None for the smallest."""
    gains: dict[int, float | None] = {ordered[0].k: None}
    for before, after in pairwise(ordered):
        per_added = (after.explained - before.explained) / (after.k - before.k)
        average = before.explained / before.k
        if average > 0:
            gains[after.k] = per_added / average
        else:
            gains[after.k] = float("inf") if per_added > 0 else 0.0
    return gains


def _check(ordered: Sequence[KRow]) -> None:
    if not ordered:
        raise ValueError("There is no K to choose from; give at least one row.")
    ks = [row.k for row in ordered]
    if len(set(ks)) != len(ks) or ks[0] < 1:
        raise ValueError(f"K values are {ks}; each must be at least 1 and occur once.")
    known = [row.k for row in ordered if row.median_stability is not None]
    if known and len(known) != len(ks):
        raise ValueError(f"Only K = {known} of {ks} have a stability; give it for all or for none.")
    figures = [row.explained for row in ordered] + [row.median_stability or 0.0 for row in ordered]
    if any(figure != figure for figure in figures):  # noqa: PLR0124 - NaN, without importing a library for it
        raise ValueError("A stability or an explained share is NaN; refit the K it belongs to.")
