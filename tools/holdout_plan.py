"""Plan a sealed hold-out: can the patients carry it, and what is kept of it where."""

from collections.abc import Callable
from typing import TypeVar

from stagewright.state.holdout import FEWEST_HELD_OUT, HoldoutSeal, HoldoutWish, n_put_aside
from stagewright.state.refusals import LedgerCorrupt, Refusal
from stagewright.state.spec import GoalSpec
from stagewright.state.survey import Survey
from stagewright.tools.feasibility import fewest_patients
from stagewright.tools.workspace import Workspace

__all__ = ["check_holdout", "holdout_warnings", "seal_holdout", "wish_of"]

_Answer = TypeVar("_Answer")
STEPS = 100
"""Fractions are tried in hundredths."""


def wish_of(workspace: Workspace, spec: GoalSpec) -> HoldoutWish | None:
    """Return what planning asks of the child that looks into the data; None without a hold-out.

    Raises
    ------
    Refusal
        `damaged` when the lock-box' log does not hold together; `over_cap` for more queries than the operator allows.
    """
    if spec.holdout is None:
        return None
    most = workspace.policy.holdout.queries
    if spec.holdout.queries > most:
        raise Refusal("over_cap", f"holdout.queries: got {spec.holdout.queries}; the operator's cap is {most}")
    earlier = _asked(workspace, lambda: workspace.lockbox.earlier(spec.data.label.column))
    return HoldoutWish(fraction=spec.holdout.patients, earlier=earlier)


def check_holdout(spec: GoalSpec, found: Survey) -> None:
    """Refuse a hold-out that would show no spread, or that leaves too few patients to study.

    Raises
    ------
    Refusal
        `invalid_data`, with the smallest or the largest fraction that is feasible.
    """
    if spec.holdout is None or found.holdout is None or found.holdout.n_both_in_all == 0:
        return  # without any patient that has both classes the study itself is refused
    drawn, needed = found.holdout, fewest_patients(spec)
    n_both, held = drawn.n_both_in_all, drawn.n_both
    if held >= FEWEST_HELD_OUT and n_both - held >= needed:
        return
    have = f"holdout.patients: of {n_both} patients with both classes {spec.holdout.patients:g} puts {held} aside"
    feasible = [
        step / STEPS
        for step in range(1, STEPS)
        if n_put_aside(step / STEPS, n_both) >= FEWEST_HELD_OUT and n_both - n_put_aside(step / STEPS, n_both) >= needed
    ]
    if not feasible:
        way = (
            f"no fraction is feasible: {FEWEST_HELD_OUT} are needed there and {needed} for the study. Leave the "
            "hold-out out, or widen data.filters"
        )
    elif held < FEWEST_HELD_OUT:
        way = f"the score needs {FEWEST_HELD_OUT}; the smallest feasible fraction is {feasible[0]:g}"
    else:
        way = f"the study needs {needed}; the largest feasible fraction is {feasible[-1]:g}"
    raise Refusal("invalid_data", f"{have}; {way}.")


def holdout_warnings(workspace: Workspace, spec: GoalSpec, found: Survey) -> list[str]:
    """Return what a person should know of the hold-out: the queries that earlier runs used."""
    drawn = found.holdout
    if spec.holdout is None or drawn is None:
        return []
    column = spec.data.label.column
    used, first = _asked(workspace, lambda: workspace.lockbox.used(drawn.digests, column))
    queries = min(spec.holdout.queries, first or spec.holdout.queries)
    if not used:
        return []
    told = f"holdout: earlier runs used {used} of {queries} queries about these patients"
    return [f"{told}, so this run completes without a score" if used >= queries else told]


def seal_holdout(workspace: Workspace, spec: GoalSpec, found: Survey) -> HoldoutSeal | None:
    """Put the drawn patients into the lock-box and return what the run keeps; None without a hold-out.

    Raises
    ------
    Refusal
        `damaged` when the lock-box' log does not hold together; `run_locked` when somebody holds it.
    """
    drawn = found.holdout
    if spec.holdout is None or drawn is None:
        return None
    column, queries = spec.data.label.column, spec.holdout.queries
    first = _asked(workspace, lambda: workspace.lockbox.used(drawn.digests, column))[1]
    allowed = min(queries, first or queries)
    kept = _asked(workspace, lambda: workspace.lockbox.put_aside(drawn, column, allowed))
    return HoldoutSeal(
        working=tuple(item.patient for item in found.patients),
        n_patients=len(drawn.patients),
        n_both=drawn.n_both,
        n_cells=drawn.n_cells,
        commitment=kept.commitment,
        queries=allowed,
    )


def _asked(workspace: Workspace, ask: Callable[[], _Answer]) -> _Answer:
    try:
        return ask()
    except LedgerCorrupt as error:
        raise Refusal(
            "damaged",
            f"the lock-box in {workspace.lockbox.folder} does not hold together: {error}. A person has to look; no "
            "hold-out can be planned or scored until then.",
        ) from error
