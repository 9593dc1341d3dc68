"""Tell the gates which attempts there were before, and what of each the ledger seals."""

from stagewright.gates.protocol import EarlierAttempt
from stagewright.state.attempts import UNITS
from stagewright.state.events import AttemptFinished, AttemptLost, AttemptStarted, parse_event
from stagewright.state.ledger import Ledger

__all__ = ["earlier_attempts"]


def earlier_attempts(ledger: Ledger, before: int) -> tuple[EarlierAttempt, ...]:
    """Return the attempts before one, in their order, with the sealed record of their units where there is one."""
    found: dict[int, EarlierAttempt] = {}
    folders: dict[int, str] = {}
    for entry in ledger.log.entries():
        event = parse_event(entry)
        match event:
            case AttemptStarted():
                folders[event.attempt] = event.directory
                found[event.attempt] = EarlierAttempt(attempt=event.attempt, ended="running")
            case AttemptFinished():
                found[event.attempt] = _finished(event, folders.get(event.attempt, ""))
            case AttemptLost() if found[event.attempt].ended == "running":
                found[event.attempt] = EarlierAttempt(attempt=event.attempt, ended="lost")
            case _:
                pass
    return tuple(item for number, item in sorted(found.items()) if number < before)


def _finished(event: AttemptFinished, folder: str) -> EarlierAttempt:
    known = EarlierAttempt(attempt=event.attempt, ended=event.outcome)
    if event.artifacts is not None:
        update = {"record": event.artifacts.outcome, "record_sha256": event.artifacts.outcome_sha256}
        return known.model_copy(update=update)
    if event.units_sha256 is not None:
        return known.model_copy(update={"record": f"{folder}/{UNITS}", "record_sha256": event.units_sha256})
    return known
