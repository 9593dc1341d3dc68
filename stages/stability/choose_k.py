"""The rule that picks K for one method, with a reason for each K in one sentence. `docs/choosing-k.md` explains it.

1. A K is *stable* when its median stability reaches the floor (0.5) and exceeds the level that chance would reach.
   A seed-invariant method without a bootstrap, or one replicate, has no stability: then every K counts as stable.
2. A larger K' is *worth going to* from K when its held-out R2 exceeds that of K by more than one standard error of the
   difference (paired by patient), and each component it adds predicts at least 10 % of what a component predicted on
   average at K: gain = ((R - R') / (K' - K)) / (R / K) >= 0.1.
3. A K *suffices* when no larger K is worth going to. The rule looks at the smallest such K: one K that happens to add
   nothing does not hide a larger one that does, and what follows is neither noise nor crumbs.
4. A K is *overfitted* when a smaller one has a held-out R2 that is more than one standard error higher.

Shortlist: the K that are stable, not overfitted, and not larger than both the one that suffices and the smallest one
within one standard error of the best held-out R2. Chosen is the largest of them that does not exceed the one that
suffices; if there is none, the smallest above it; if the shortlist is empty, the most stable K.

Without held-out figures the explained share stands in for the held-out R2, with no standard error. It always rises, so
that with a stability the largest K of those that are stable and worth their step from the next smaller one is taken,
and without a stability the last K before the first step that is not worth it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from stagewright.stages.stability.held_out_errors import HeldOutErrors

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
    held_out
        Errors on held-out cells, of the same cells for every K; None where there are none.
    chance
        Median stability that components without anything in common reach; None where stability does not apply.
    """

    k: int
    median_stability: float | None
    explained: float
    held_out: HeldOutErrors | None = None
    chance: float | None = None


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
    reasons
        By K: why it is chosen, an alternative, or neither.
    """

    k: int
    reason: str
    shortlist: tuple[int, ...]
    reasons: Mapping[int, str]


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
        There is no row, a K occurs twice, a figure is not a number, or only some rows have a stability or held-out
        errors.
    """
    ordered = sorted(rows, key=lambda row: row.k)
    _check(ordered)
    unstable = {row.k: why for row in ordered if (why := _instability(row, stability_floor))}
    if ordered[0].held_out is not None:
        return _by_held_out(ordered, unstable, worthwhile_gain)
    return _by_explained(ordered, unstable, stability_floor, worthwhile_gain)


def _instability(row: KRow, floor: float) -> str:
    """Return why a K is not stable; "" when it is, or when stability does not apply."""
    if row.median_stability is None:
        return ""
    if row.median_stability < floor:
        return f"its median stability {row.median_stability:.3f} is below {floor:g}"
    if row.chance is not None and row.median_stability <= row.chance:
        return f"its median stability {row.median_stability:.3f} does not exceed the {row.chance:.3f} of chance"
    return ""


def _by_held_out(ordered: Sequence[KRow], unstable: Mapping[int, str], worthwhile_gain: float) -> KChoice:
    suffices = next(
        row
        for n, row in enumerate(ordered)
        if not any(_worth(row, after, worthwhile_gain) for after in ordered[n + 1 :])
    )
    best = max(ordered, key=lambda row: (_errors(row).r2, -row.k))
    largest = max(suffices.k, next(row.k for row in ordered if not _exceeds(best, row)))
    overfitted = {
        row.k: f"K = {better.k} predicts held-out cells better (R2 {_r2(better)} against {_r2(row)})"
        for n, row in enumerate(ordered)
        if (better := max(ordered[: n + 1], key=lambda one: _errors(one).r2)) is not row and _exceeds(better, row)
    }
    shortlist = tuple(
        row.k for row in ordered if row.k not in unstable and row.k not in overfitted and row.k <= largest
    )
    enough = (
        f"K = {suffices.k} is the largest K tried, and held-out R2 ({_r2(suffices)}) rises up to it"
        if suffices is ordered[-1]
        else f"K = {suffices.k} is where held-out R2 ({_r2(suffices)}) stops rising by more than a standard error and "
        f"{worthwhile_gain:.0%} of the average component"
    )
    below = [k for k in shortlist if k <= suffices.k]
    if below:
        k = below[-1]
        why = f"{enough}." if k == suffices.k else f"K = {k} is the largest stable K up to there, as {enough}."
    elif shortlist:
        k = shortlist[0]
        why = f"K = {k} is the smallest stable K from there on; {enough}, but {unstable[suffices.k]}."
    else:
        k = _most_stable(ordered)
        why = f"K = {k} is the most stable K, because no K is both stable and free of overfitting; {enough}."
        shortlist = (k,)
    row = next(row for row in ordered if row.k == k)
    if row.median_stability is not None:
        why += f" Its median stability is {row.median_stability:.3f}."
    others = {}
    for row in ordered:
        faults = [text for text in (unstable.get(row.k), overfitted.get(row.k)) if text]
        if row.k in shortlist:
            side = "fewer than suffice: the coarser view" if row.k < suffices.k else "more than suffice: a finer view"
            others[row.k] = f"In the shortlist; {side}. Held-out R2 {_r2(row)}."
        else:
            more = f"K = {largest} already predicts held-out cells as well as any"
            others[row.k] = f"Not in the shortlist: {'; '.join(faults) or more}."
    return KChoice(k, why, shortlist, others | {k: why})


def _worth(row: KRow, after: KRow, worthwhile_gain: float) -> bool:
    return _exceeds(after, row) and _gain(row.k, _errors(row).r2, after.k, _errors(after).r2) >= worthwhile_gain


def _exceeds(better: KRow, row: KRow) -> bool:
    """Return whether the held-out R2 of one K is more than one standard error of the difference above another's."""
    gain, standard_error = _errors(better).gain_over(_errors(row))
    return gain > (standard_error or 0.0)


def _errors(row: KRow) -> HeldOutErrors:
    if row.held_out is None:
        raise ValueError(f"K = {row.k} has no held-out errors")
    return row.held_out


def _r2(row: KRow) -> str:
    return f"{_errors(row).r2:.4f}"


def _by_explained(
    ordered: Sequence[KRow], unstable: Mapping[int, str], stability_floor: float, worthwhile_gain: float
) -> KChoice:
    gains = {ordered[0].k: None} | {
        after.k: _gain(before.k, before.explained, after.k, after.explained) for before, after in pairwise(ordered)
    }
    small = {
        k: f"each component added since the next smaller K explains only {gain:.0%} of the average before"
        for k, gain in gains.items()
        if gain is not None and gain < worthwhile_gain
    }
    if ordered[0].median_stability is None:
        first = next((row.k for row in ordered if row.k in small), ordered[-1].k + 1)
        shortlist = tuple(row.k for row in ordered if row.k < first)
        row = next(row for row in ordered if row.k == shortlist[-1])
        after = (
            f"and each component added up to K = {first} would explain only {gains[first]:.0%} of it"
            if first in small
            else "and no larger K was tried"
        )
        why = (
            f"Stability does not apply, so explained variance decides: K = {row.k} explains {row.explained:.3f} "
            f"{_step_text(gains[row.k], worthwhile_gain)}, {after}."
        )
        return _told(ordered, row.k, why, shortlist, small)
    shortlist = tuple(row.k for row in ordered if row.k not in unstable and row.k not in small)
    stability = {row.k: row.median_stability or 0.0 for row in ordered}
    if shortlist:
        k = shortlist[-1]
        why = (
            f"K = {k} is the largest K with a median stability of at least {stability_floor:g} "
            f"(it has {stability[k]:.3f}) {_step_text(gains[k], worthwhile_gain)}."
        )
    else:
        k = _most_stable(ordered)
        none = "no K reaches" if len(unstable) == len(ordered) else "no K that is worth its step reaches"
        shortlist = (k,)
        why = f"K = {k} is the most stable K (median stability {stability[k]:.3f}), because {none} {stability_floor:g}."
    return _told(ordered, k, why, shortlist, {**small, **unstable})


def _told(ordered: Sequence[KRow], k: int, why: str, shortlist: tuple[int, ...], faults: Mapping[int, str]) -> KChoice:
    others = {
        row.k: "In the shortlist."
        if row.k in shortlist
        else f"Not in the shortlist: {faults.get(row.k, 'see K chosen')}."
        for row in ordered
    }
    return KChoice(k, why, shortlist, others | {k: why})


def _most_stable(ordered: Sequence[KRow]) -> int:
    return max(ordered, key=lambda row: (row.median_stability or 0.0, -row.k)).k


def _step_text(gain: float | None, worthwhile_gain: float) -> str:
    if gain is None:
        return "and it is the smallest K tried"
    return (
        f"and each component added since the next smaller K explains {gain:.0%} of the average before "
        f"(at least {worthwhile_gain:.0%} is asked for)"
    )


def _gain(k: int, figure: float, larger_k: int, larger: float) -> float:
    """Return what an added component gives, as a share of what a component gave on average before."""
    per_added = (larger - figure) / (larger_k - k)
    if figure > 0:
        return per_added / (figure / k)
    return float("inf") if per_added > 0 else 0.0


def _check(ordered: Sequence[KRow]) -> None:
    if not ordered:
        raise ValueError("There is no K to choose from; give at least one row.")
    ks = [row.k for row in ordered]
    if len(set(ks)) != len(ks) or ks[0] < 1:
        raise ValueError(f"K values are {ks}; each must be at least 1 and occur once.")
    for name, known in (
        ("a stability", [row.k for row in ordered if row.median_stability is not None]),
        ("held-out errors", [row.k for row in ordered if row.held_out is not None]),
    ):
        if known and len(known) != len(ks):
            raise ValueError(f"Only K = {known} of {ks} have {name}; give it for all or for none.")
    figures = [row.explained for row in ordered] + [row.median_stability or 0.0 for row in ordered]
    if any(figure != figure for figure in figures):  # noqa: PLR0124 - NaN, without importing a library for it
        raise ValueError("A stability or an explained share is NaN; refit the K it belongs to.")
