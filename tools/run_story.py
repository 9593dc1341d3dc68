"""What happened to a run, attempt by attempt, told by its ledger and by the files that the ledger seals."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from stagewright.state.artifacts import Outcome, UnitRecord, read_outcome
from stagewright.state.attempts import UNITS
from stagewright.state.canonical import digest_file
from stagewright.state.chain import Entry
from stagewright.state.events import (
    AttemptFinished,
    AttemptLost,
    AttemptStarted,
    Event,
    RunPlanned,
    TornTailMoved,
    parse_event,
)
from stagewright.state.refusals import LedgerCorrupt
from stagewright.state.run_directory import RunDirectory

__all__ = ["AttemptStory", "RunStory", "Told", "outcome_of", "tell_run", "units_of"]


@dataclass(frozen=True, slots=True)
class Told:
    """One entry of the ledger."""

    at: str
    seq: int
    event: Event


@dataclass(frozen=True, slots=True)
class AttemptStory:
    """One attempt at a step.

    Attributes
    ----------
    opened_by
        The entry that let it start: the plan, a decision, an approval, or the failure or loss of the one before.
    ended_at, finished, lost
        How it ended; nothing of one that runs.
    """

    started_at: str
    started: AttemptStarted
    opened_by: Told
    ended_at: str | None = None
    finished: AttemptFinished | None = None
    lost: AttemptLost | None = None

    @property
    def number(self) -> int:
        """The attempt's number in the run."""
        return self.started.attempt

    @property
    def step(self) -> str:
        """The step that it is an attempt at."""
        return self.started.step or ""

    @property
    def outcome(self) -> str:
        """How it ended: executed, failed, cancelled, lost, or running."""
        if self.finished is not None:
            return self.finished.outcome
        return "running" if self.lost is None else "lost"


@dataclass(frozen=True, slots=True)
class RunStory:
    """The ledger of a run, with its attempts put together."""

    planned: RunPlanned
    entries: tuple[Told, ...]
    attempts: Mapping[int, AttemptStory]

    def attempts_at(self, step: str) -> list[AttemptStory]:
        """Return the attempts at a step, in their order."""
        return [attempt for attempt in self.attempts.values() if attempt.step == step]


def tell_run(entries: Iterable[Entry]) -> RunStory:
    """Return the story that the entries of a ledger tell.

    Raises
    ------
    LedgerCorrupt
        When it does not begin with a plan.
    """
    told: list[Told] = []
    attempts: dict[int, AttemptStory] = {}
    before: Told | None = None
    for entry in entries:
        event = parse_event(entry)
        this = Told(str(entry.get("at")), int(str(entry.get("seq"))), event)
        match event:
            case AttemptStarted() if before is not None:
                attempts[event.attempt] = AttemptStory(this.at, event, before)
            case AttemptFinished() | AttemptLost() if event.attempt in attempts:
                attempts[event.attempt] = _ended(attempts[event.attempt], this.at, event)
            case _:
                pass
        told.append(this)
        before = before if isinstance(event, TornTailMoved) else this
    first = told[0].event if told else None
    if not isinstance(first, RunPlanned):
        raise LedgerCorrupt("the ledger does not begin with run_planned")
    return RunStory(first, tuple(told), attempts)


def _ended(story: AttemptStory, at: str, event: AttemptFinished | AttemptLost) -> AttemptStory:
    if isinstance(event, AttemptFinished):
        return AttemptStory(story.started_at, story.started, story.opened_by, at, event, story.lost)
    if story.finished is not None:  # its end was recorded by the supervisor after all
        return story
    return AttemptStory(story.started_at, story.started, story.opened_by, at, None, event)


def outcome_of(run: RunDirectory, attempt: AttemptStory) -> Outcome | None:
    """Return the sealed outcome of an attempt that was executed; None of any other, or where the file was changed."""
    if attempt.finished is None or attempt.finished.artifacts is None:
        return None
    try:
        return read_outcome(run.path, attempt.finished.artifacts)
    except (OSError, ValueError):
        return None


def units_of(run: RunDirectory, attempt: AttemptStory) -> tuple[UnitRecord, ...] | None:
    """Return what became of the units of an attempt, from the files that the ledger seals.

    None where it left no such record: it runs still, was lost, or its record was changed since.
    """
    outcome = outcome_of(run, attempt)
    if outcome is not None:
        return outcome.units
    sealed = None if attempt.finished is None else attempt.finished.units_sha256
    path = run.path / attempt.started.directory / UNITS
    try:
        if sealed is None or digest_file(path) != sealed:
            return None
        return tuple(UnitRecord.model_validate(item) for item in json.loads(path.read_bytes())["units"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
