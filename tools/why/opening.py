"""Say in words what let an attempt start: the law of the machine makes it the entry of the ledger before."""

import json

from pydantic import JsonValue

from stagewright.state.events import Approved, AttemptFinished, AttemptLost, Decided, Event, RunPlanned
from stagewright.state.spec.adjustments import FieldChange
from stagewright.state.units import format_seconds
from stagewright.tools.run_story import Told
from stagewright.tools.why.answers import Because

__all__ = ["because", "changes_of"]


def because(told: Told) -> Because:
    """Return what an entry let start, in words."""
    return Because(text=_words(told.event), at=told.at, entry=told.seq)


def _words(event: Event) -> str:
    said = event.message
    match event:
        case RunPlanned():
            said = f"the run was planned by {event.actor}, and this is its first step"
        case Decided(decision="adjust"):
            applied = "" if event.proposal is None else f", by the proposal: {event.proposal.what}"
            changed = "; ".join(changes_of(event.changes))
            said = f"{event.actor} decided adjust{applied}{f' ({changed})' if changed else ''}: {event.rationale}"
        case Decided():
            said = f"{event.actor} decided {event.decision} on {event.step}: {event.rationale}"
        case Approved():
            said = f"{event.actor} approved checkpoint {event.checkpoint}: {event.reason}"
        case AttemptFinished():
            waited = "" if event.retry_in_s is None else f" after {format_seconds(event.retry_in_s)}"
            passing = "may pass by itself" if event.transient else "does not pass by itself"
            said = f"attempt {event.attempt} failed ({event.failure}, which {passing}) and was tried again{waited}"
        case AttemptLost():
            said = f"{event.message}; a call of execute_stage found that and started the step again"
        case _:
            pass
    return said


def changes_of(changes: tuple[FieldChange, ...]) -> list[str]:
    """Return each change of an adjusted field in words."""
    return [f"{item.field}: {_shown(item.before)} -> {_shown(item.after)} ({item.label})" for item in changes]


def _shown(value: JsonValue) -> str:
    if value is None:
        return "not set"
    if isinstance(value, list):
        return ", ".join(_shown(item) for item in value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
