"""Read from a run directory what its calls were answered from: the survey, attempts, findings, kills, approvals."""

import json
from collections.abc import Iterator
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import cast

from pydantic import BaseModel, JsonValue

from stagewright.stages.failure import Failure
from stagewright.state.artifacts import OUTCOME
from stagewright.state.attempts import FAILURE, PROGRESS, TRACEBACK, UNITS
from stagewright.state.chain import ChainedLog, Entry
from stagewright.state.events import Approved, AttemptFinished, AttemptLost, AttemptStarted, RunPlanned, parse_event
from stagewright.state.layout import survey_file
from stagewright.state.run_directory import RunDirectory
from stagewright.tools.replay.cassette import (
    ApprovedFrame,
    AttemptFrame,
    FindingsFrame,
    Frame,
    KilledFrame,
    RunFrame,
    SurveyFrame,
)
from stagewright.tools.replay.portable import Portable
from stagewright.tools.replay.recorded_calls import moment

__all__ = ["facts_of_run", "planned"]

Fact = tuple[datetime, Frame]


def planned(run: RunDirectory) -> RunPlanned:
    """Return the first event of a run.

    Raises
    ------
    ValueError
        When the ledger does not begin with it.
    """
    first = next(ChainedLog(run.log("agent_run")).entries(), None)
    event = None if first is None else parse_event(first)
    if not isinstance(event, RunPlanned):
        raise ValueError(f"{run.run_id} has no run_planned")  # noqa: TRY004 - of the record, not of an argument
    return event


def facts_of_run(run: RunDirectory, portable: Portable) -> Iterator[Fact]:
    """Yield what decided the answers to a run's calls, each with its time; in no order."""
    events = [(moment(entry["at"]), parse_event(entry)) for entry in ChainedLog(run.log("agent_run")).entries()]
    name = portable.names[run.run_id]
    starts: dict[int, tuple[datetime, AttemptStarted]] = {}
    for at, event in events:
        match event:
            case RunPlanned():
                yield at, RunFrame(run=name, spec_digest=event.spec_digest, holdout=event.holdout is not None)
                yield from ((at, survey) for survey in _survey(run, event, portable))
            case AttemptStarted():
                starts[event.attempt] = (at, event)
            case AttemptFinished():
                began, started = starts[event.attempt]
                yield began, _ended(run, started, event, portable)
            case AttemptLost() if event.attempt in starts:
                began, started = starts[event.attempt]
                yield began, _lost(run, started, portable)
                yield at, KilledFrame(run=name, attempt=event.attempt, step=str(started.step))
            case Approved() if " by elicitation" not in event.actor:
                yield at, ApprovedFrame(run=name, reason=event.reason)
            case _:
                pass
    yield from _findings(run, portable)


def _survey(run: RunDirectory, event: RunPlanned, portable: Portable) -> Iterator[SurveyFrame]:
    survey = _json(run.path / survey_file())
    scope = event.spec.get("data")
    if survey is not None and isinstance(scope, dict):
        yield SurveyFrame(scope=_out(portable, scope), survey=_out(portable, survey))


def _findings(run: RunDirectory, portable: Portable) -> Iterator[Fact]:
    """Yield the findings of each judgement: those that were written at one time."""
    entries = (entry for entry in ChainedLog(run.log("validation")).entries() if entry.get("event") == "finding")
    keys = ("gate", "subject", "severity", "measured", "threshold", "reason", "code_sha256")
    for (at, step, attempt), written in groupby(entries, key=_judgement):
        findings = tuple(_out(portable, {key: entry.get(key) for key in keys}) for entry in written)
        frame = FindingsFrame(run=portable.names[run.run_id], attempt=attempt, step=step, findings=findings)
        yield moment(at), frame


def _judgement(entry: Entry) -> tuple[str, str, int]:
    attempt = entry.get("attempt")
    return str(entry["at"]), str(entry["step"]), attempt if isinstance(attempt, int) else 0


def _ended(run: RunDirectory, started: AttemptStarted, event: AttemptFinished, portable: Portable) -> AttemptFrame:
    folder = run.path / started.directory
    failure = _json(folder / FAILURE) if event.outcome == "failed" else None
    over = event.outcome == "failed" and failure is None and (event.exit_status or 0) >= 0
    if event.outcome == "failed" and failure is None:
        failure = _failure(event)
    return AttemptFrame(
        run=portable.names[run.run_id],
        attempt=event.attempt,
        step=str(event.step),
        ends=event.outcome,
        exit_status=event.exit_status,
        elapsed_s=event.elapsed_s,
        peak_rss_bytes=event.peak_rss_bytes,
        result=_maybe(portable, _json(folder / OUTCOME)) if event.outcome == "executed" else None,
        progress=_maybe(portable, _json(folder / PROGRESS)),
        failure=_maybe(portable, failure),
        over=over,
        units=_text(folder / UNITS) if event.units_sha256 is not None else None,
        traceback=_maybe_text(portable, _text(folder / TRACEBACK)),
        last_lines=tuple(str(portable.out(line)) for line in (event.blocked.last_lines if event.blocked else ())),
    )


def _failure(event: AttemptFinished) -> dict[str, JsonValue]:
    """Return the failure of an attempt that left no report of it: one that a limit or a signal ended."""
    said = event.blocked.error if event.blocked else event.message.partition("failed: ")[2].rpartition(" [")[0]
    return _plain(Failure(error=said, kind=event.failure or "killed"))


def _lost(run: RunDirectory, started: AttemptStarted, portable: Portable) -> AttemptFrame:
    return AttemptFrame(run=portable.names[run.run_id], attempt=started.attempt, step=str(started.step), ends="lost")


def _json(path: Path) -> dict[str, JsonValue] | None:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def _out(portable: Portable, value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    return cast("dict[str, JsonValue]", portable.out(value))


def _maybe(portable: Portable, value: dict[str, JsonValue] | None) -> dict[str, JsonValue] | None:
    return None if value is None else _out(portable, value)


def _maybe_text(portable: Portable, value: str | None) -> str | None:
    return None if value is None else str(portable.out(value))


def _plain(record: BaseModel) -> dict[str, JsonValue]:
    return record.model_dump(mode="json", exclude_none=True)
