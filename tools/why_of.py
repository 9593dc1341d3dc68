"""Tell why a step or a unit of work of a run ran, was reused, blocked or refused, from the record alone."""

import difflib

from stagewright.state.refusals import Refusal
from stagewright.tools.run_story import tell_run
from stagewright.tools.why.answers import WhyStep, WhyUnit
from stagewright.tools.why.step import why_step
from stagewright.tools.why.unit import units_by_name, why_unit
from stagewright.tools.workspace import Workspace

__all__ = ["why_of"]

SHOWN = 40


def why_of(workspace: Workspace, named: str, subject: str) -> WhyStep | WhyUnit:
    """Return what the record of a run tells of a subject.

    Parameters
    ----------
    named
        The run.
    subject
        A step of the plan, such as ``B/plan1a``, or the name of a unit, or a part of it that no other unit's name has.

    Raises
    ------
    Refusal
        `invalid_argument` when nothing, or more than one unit, is meant; `unknown_run`.
    LedgerCorrupt
        When the ledger does not hold together: nothing is told from such a record.
    """
    ledger = workspace.ledger(named)
    state, story = ledger.fold(), tell_run(ledger.log.entries())
    if subject in state.steps:
        return why_step(ledger, state, story, subject)
    units = units_by_name(ledger, story)
    meant = [subject] if subject in units else [name for name in units if subject and subject in name]
    if len(meant) == 1:
        return why_unit(state.run_id, story, meant[0], units[meant[0]])
    if meant:
        shown = "\n".join(f"  {name}" for name in meant[:SHOWN])
        more = f"\n  and {len(meant) - SHOWN} more" if len(meant) > SHOWN else ""
        raise Refusal("invalid_argument", f"{subject!r} is part of {len(meant)} units' names; name one:\n{shown}{more}")
    near = difflib.get_close_matches(subject, [*state.steps, *units], n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    known = f"the steps are {', '.join(state.steps)}; {len(units)} units are on record" + (
        f", e.g. {next(iter(units))}" if units else ""
    )
    raise Refusal("invalid_argument", f"this run has no step or unit {subject!r}{hint}\n{known}")
