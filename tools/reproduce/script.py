"""What a run's ledger says was done: the steps that were executed and judged, and the decisions, in their order."""

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import JsonValue

from stagewright.state.events import (
    Approved,
    AttemptFinished,
    AttemptStarted,
    Decided,
    Event,
    RunPlanned,
    StepValidated,
    parse_event,
)
from stagewright.state.ledger import Ledger
from stagewright.state.records import ArtifactSeal
from stagewright.state.refusals import Refusal
from stagewright.state.run_directory import RunDirectory
from stagewright.state.run_state import RunState

__all__ = ["Approval", "Decision", "Execution", "Judgement", "Script", "read_script"]


@dataclass(frozen=True, slots=True)
class Execution:
    """A step was executed to its end: by which attempt, and what that sealed."""

    step: str
    attempt: int
    sealed: ArtifactSeal


@dataclass(frozen=True, slots=True)
class Judgement:
    """The gates judged a step."""

    step: str
    attempt: int
    verdict: str


@dataclass(frozen=True, slots=True)
class Decision:
    """Somebody decided."""

    step: str
    decision: str
    rationale: str
    adjustments: dict[str, JsonValue]
    k_by_method: dict[str, int]


@dataclass(frozen=True, slots=True)
class Approval:
    """A person approved a checkpoint."""

    checkpoint: str


Act = Execution | Judgement | Decision | Approval


@dataclass(frozen=True, slots=True)
class Script:
    """A run's first event and last state, and what was done between the two.

    Failed and lost attempts are not in it, nor judgements that were made again: they change no result.
    """

    planned: RunPlanned
    state: RunState
    acts: tuple[Act, ...]


def read_script(run: RunDirectory) -> Script:
    """Return what was done in a run.

    Raises
    ------
    Refusal
        `invalid_argument` for a run whose outcomes were played back, and so never computed.
    LedgerCorrupt
        When the ledger does not hold together.
    """
    state = Ledger(run).fold()
    events = [parse_event(entry) for entry in Ledger(run).log.entries()]
    first = events[0]
    if not isinstance(first, RunPlanned):
        raise TypeError("a ledger that folds begins with run_planned")
    if any(isinstance(event, AttemptStarted) and event.executor == "recorded" for event in events):
        what = f"the outcomes of {run.run_id} were played back from a cassette; there is nothing to reproduce"
        raise Refusal("invalid_argument", f"{what}. Name the run that the cassette was made of.")
    return Script(planned=first, state=state, acts=tuple(_acts(events)))


def _acts(events: list[Event]) -> Iterator[Act]:
    last_judged = {event.attempt: number for number, event in enumerate(events) if isinstance(event, StepValidated)}
    for number, event in enumerate(events):
        match event:
            case AttemptFinished(outcome="executed") if event.artifacts is not None:
                yield Execution(str(event.step), event.attempt, event.artifacts)
            case StepValidated() if last_judged[event.attempt] == number:
                yield Judgement(str(event.step), event.attempt, event.verdict)
            case Decided():
                yield Decision(
                    str(event.step), event.decision, event.rationale, event.adjustments, dict(event.k_by_method)
                )
            case Approved():
                yield Approval(event.checkpoint)
            case _:
                pass
