"""Tell of a step why each attempt at it was made, how it ended, and what gates, decisions and refusals there were."""

from collections.abc import Iterator

from stagewright.state.events import Approved, AttemptFinished, AttemptLost, Decided, StepBlocked, StepValidated
from stagewright.state.ledger import Ledger
from stagewright.state.records import Blocked, FindingSummary, Proposal
from stagewright.state.run_state import RunState
from stagewright.tools.run_story import AttemptStory, RunStory, Told, units_of
from stagewright.tools.why.answers import Happened, WhyAttempt, WhyStep
from stagewright.tools.why.opening import because, changes_of
from stagewright.tools.why.refused_calls import refused_calls
from stagewright.tools.why.unit_groups import unit_groups

__all__ = ["why_step"]


def why_step(ledger: Ledger, state: RunState, story: RunStory, step: str) -> WhyStep:
    """Return what the record tells of a step of the plan."""
    attempts = tuple(_attempt(ledger, attempt) for attempt in story.attempts_at(step))
    told = [happened for entry in story.entries if entry.event.step == step for happened in _happened(entry)]
    refused = [*refused_calls(ledger, step)]
    return WhyStep(
        run_id=state.run_id,
        step=step,
        now=_now(state, step, attempted=bool(attempts)),
        attempts=attempts,
        happened=tuple(sorted([*told, *refused], key=lambda item: item.at)),
    )


def _now(state: RunState, step: str, *, attempted: bool) -> str:
    if step == state.step:
        why = f": {state.blocked.error}" if state.blocked is not None else ""
        return f"the run is {state.status} here{why}"
    if state.steps.index(step) > state.position:
        return f"not reached: the run is {state.status} at {state.step}"
    sealed = state.sealed.get(step)
    if sealed is not None and attempted:
        return f"done: attempt {sealed.attempt} was validated with verdict {sealed.verdict}"
    return f"passed by; the run is {state.status} at {state.step}"


def _attempt(ledger: Ledger, attempt: AttemptStory) -> WhyAttempt:
    finished, units = attempt.finished, units_of(ledger.run, attempt)
    blocked = _blocked_of(attempt)
    return WhyAttempt(
        attempt=attempt.number,
        outcome=attempt.outcome,
        started_at=attempt.started_at,
        started_by=attempt.started.actor,
        because=because(attempt.opened_by),
        executor=attempt.started.executor,
        ended_at=attempt.ended_at,
        ended=finished.message if finished is not None else None if attempt.lost is None else attempt.lost.message,
        elapsed_s=None if finished is None else finished.elapsed_s,
        peak_rss_bytes=None if finished is None else finished.peak_rss_bytes,
        failure=None if finished is None else finished.failure,
        traceback=None if blocked is None else blocked.traceback,
        units=None if units is None else unit_groups(units),
    )


def _blocked_of(attempt: AttemptStory) -> Blocked | None:
    if attempt.finished is not None:
        return attempt.finished.blocked
    return None if attempt.lost is None else attempt.lost.blocked


def _happened(told: Told) -> Iterator[Happened]:
    match told.event:
        case StepValidated() as event:
            yield Happened(
                at=told.at,
                what="verdict",
                by=event.actor,
                word=event.verdict,
                attempt=event.attempt,
                text=f"verdict {event.verdict}: {event.gates.passed} passed, {event.gates.warned} warned, "
                f"{event.gates.failed} failed, {event.gates.errors} errors; {event.recommended_why}",
                details=tuple(_finding(item) for item in event.gates.worst if item.severity != "pass"),
            )
        case Decided() as event:
            applied = () if event.proposal is None else (f"applied: {event.proposal.what}",)
            yield Happened(
                at=told.at,
                what="decision",
                by=event.actor,
                word=event.decision,
                text=f"{event.decision}: {event.rationale}",
                details=(*applied, *changes_of(event.changes)),
            )
        case Approved() as event:
            yield Happened(at=told.at, what="approval", by=event.actor, word="approve", text=event.reason)
        case AttemptFinished() | AttemptLost() | StepBlocked() as event if event.blocked is not None:
            yield Happened(
                at=told.at,
                what="blocked",
                by=event.actor,
                word=event.blocked.kind,
                attempt=None if isinstance(event, StepBlocked) else event.attempt,
                text=_blocked(event.blocked),
                details=tuple(_proposal(number, item) for number, item in enumerate(event.blocked.proposals)),
            )
        case _:
            return


def _finding(item: FindingSummary) -> str:
    return f"{item.severity}: {item.gate}: {item.subject}: measured {item.measured}; threshold {item.threshold}"


def _blocked(blocked: Blocked) -> str:
    unit = "" if blocked.unit is None else f" in unit {blocked.unit}"
    where = "" if blocked.traceback is None else f"; {blocked.traceback} has it in full"
    return f"blocked{unit} [{blocked.kind}]: {blocked.error}{where}"


def _proposal(number: int, proposal: Proposal) -> str:
    first = "" if proposal.first is None else f" (first {proposal.first})"
    return f"proposal {number}: {proposal.what}{first}"
