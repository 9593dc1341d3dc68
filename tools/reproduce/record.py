"""What was done to a run, in its order, as far as a reproduction does it again."""

from collections.abc import Iterable
from dataclasses import dataclass

from stagewright.state.events import (
    RECORDED,
    Approved,
    AttemptFinished,
    AttemptLost,
    AttemptStarted,
    Decided,
    RunPlanned,
    StepBlocked,
    StepValidated,
)
from stagewright.state.refusals import Refusal
from stagewright.state.run_directory import RunDirectory
from stagewright.state.run_state import RunState
from stagewright.state.spec.goal import CHECKPOINTS
from stagewright.tools.verification.fold import Recorded
from stagewright.tools.verification.record import read_ledger

__all__ = ["Record", "acts_up_to", "last_step", "read_record"]

DONE_AGAIN = (StepValidated, Decided, Approved)


@dataclass(frozen=True, slots=True)
class Record:
    """What the ledger says.

    Attributes
    ----------
    planned
        Its first event.
    state
        The state after its last event.
    acts
        Executed attempts, the verdicts on them, decisions and approvals, in their order.
    notes
        What happened besides and is not done again.
    """

    planned: RunPlanned
    state: RunState
    acts: tuple[Recorded, ...]
    notes: tuple[str, ...]


def read_record(run: RunDirectory) -> Record:
    """Read a run's ledger.

    Raises
    ------
    Refusal
        `damaged` when it does not hold together: then nobody can tell what was done. `invalid_argument` for a run whose
        outcomes were played back from a cassette: nothing of it was ever computed.
    """
    folded = read_ledger(run)[1]
    first = folded.recorded[0].event if folded.recorded else None
    if not folded.holds or folded.state is None or not isinstance(first, RunPlanned):
        raise Refusal(
            "damaged",
            f"the ledger of {run.run_id} does not hold together, so nobody can tell what was done: "
            f"`stagewright verify {run.run_id}` names the line.",
            run_id=run.run_id,
        )
    if any(isinstance(item.event, AttemptStarted) and item.event.executor == RECORDED for item in folded.recorded):
        raise Refusal(
            "invalid_argument",
            f"the outcomes of {run.run_id} were played back from a cassette; there is nothing to compute again. "
            "Name the run that the cassette was made of.",
            run_id=run.run_id,
        )
    acts = [item for item in folded.recorded if isinstance(item.event, DONE_AGAIN) or _executed(item)]
    judged = {item.event.attempt: item.line for item in acts if isinstance(item.event, StepValidated)}
    last = set(judged.values())  # a step that was judged again is judged once: its last verdict was decided on
    kept = tuple(item for item in acts if not isinstance(item.event, StepValidated) or item.line in last)
    return Record(first, folded.state, kept, tuple(_notes(folded.recorded, folded.state)))


def last_step(record: Record, named: str | None) -> str:
    """Return the last step to reproduce: the one that is named, the last of a named checkpoint, or of the record.

    Raises
    ------
    Refusal
        `invalid_argument` when the study has no such step or checkpoint, `not_allowed_now` when the record has not
        executed it, or nothing at all.
    """
    steps = record.state.steps
    done = [item.event.step for item in record.acts if _executed(item)]
    if not done:
        raise Refusal(
            "not_allowed_now",
            f"no step of {record.state.run_id} was executed to its end, so there is nothing to reproduce.",
            status=f"{record.state.status} at {record.state.step}",
            run_id=record.state.run_id,
        )
    reached = max(done, key=lambda step: steps.index(str(step)))
    if named is None:
        return str(reached)
    within = [step for step in steps if step == named or (named in CHECKPOINTS and step.startswith(f"{named}/"))]
    if not within:
        known = f"{', '.join(steps)}, or a checkpoint: {', '.join(CHECKPOINTS)}"
        raise Refusal("invalid_argument", f"--upto: got {named!r}; this run has the steps {known}")
    executed = [step for step in within if step in done]
    if not executed:
        raise Refusal("not_allowed_now", f"--upto {named}: the record ends before it; it reached {reached}")
    return executed[-1]


def acts_up_to(record: Record, step: str) -> tuple[Recorded, ...]:
    """Return the acts up to a step; the decision that continues from it only where the run ended with it."""
    place = record.state.steps.index(step)
    ends = place + 1 == len(record.state.steps)

    def belongs(item: Recorded) -> bool:
        at = record.state.steps.index(str(item.event.step))
        onwards = isinstance(item.event, Decided) and item.event.decision == "continue" and not ends
        return at < place or (at == place and not onwards)

    return tuple(item for item in record.acts if belongs(item))


def _executed(item: Recorded) -> bool:
    return isinstance(item.event, AttemptFinished) and item.event.outcome == "executed"


def _notes(recorded: Iterable[Recorded], state: RunState) -> Iterable[str]:
    failed = [item.event for item in recorded if isinstance(item.event, AttemptFinished) and not _executed(item)]
    lost = [item.event for item in recorded if isinstance(item.event, AttemptLost)]
    for what, events in (("failed or were cancelled", failed), ("were lost", lost)):
        if events:
            named = ", ".join(f"{event.attempt} ({event.step})" for event in events)
            yield f"not done again, attempts that {what}: {named}"
    if any(isinstance(item.event, StepBlocked) for item in recorded):
        yield "not done again: the run's budget was used up at some time; the reproduction has the operator's cap"
    if not state.finished:
        yield f"the record ends with {state.step} {state.status}; it was reproduced as far as it goes"
    if state.parent_run_id is not None:
        yield f"the parent {state.parent_run_id} was not executed again; what it and others had tried is counted"
