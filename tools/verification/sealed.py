"""Verify the files whose digests stand in the ledger: the spec, the requests and the outcomes of attempts."""

from collections.abc import Iterator
from pathlib import Path

from stagewright.state.artifacts import Outcome, read_outcome
from stagewright.state.attempts import REQUEST
from stagewright.state.canonical import digest_file
from stagewright.state.chain import Problem
from stagewright.state.events import AttemptFinished, AttemptStarted, RunPlanned
from stagewright.state.run_directory import RunDirectory
from stagewright.tools.verification.fold import LEDGER, FoldedLedger

__all__ = ["sealed_problems"]


def sealed_problems(run: RunDirectory, folded: FoldedLedger) -> list[Problem]:
    """Compare every file that an entry of the ledger seals with its digest."""
    found: list[Problem] = []
    for item in folded.recorded:
        match item.event:
            case RunPlanned():
                found += _compare(run.path, run.spec.name, item.event.spec_sha256)
            case AttemptStarted():
                found += _compare(run.path, f"{item.event.directory}/{REQUEST}", item.event.request_sha256)
            case AttemptFinished():
                found += _outcome_problems(run, item.event, item.line)
            case _:
                pass
    return found


def _compare(run: Path, name: str, digest: str) -> Iterator[Problem]:
    path = run / name
    if not path.is_file():
        yield Problem(name, None, "is missing; the ledger seals it")
    elif digest_file(path) != digest:
        yield Problem(name, None, "was changed after it was sealed (its sha256 differs from the ledger's)")


def _outcome_problems(run: RunDirectory, event: AttemptFinished, line: int) -> Iterator[Problem]:
    if event.artifacts is None:
        return
    try:
        outcome = read_outcome(run.path, event.artifacts)
    except ValueError as error:
        yield Problem(event.artifacts.outcome, None, str(error).removeprefix(f"{event.artifacts.outcome} "))
        return
    if not _agree(event, outcome):
        yield Problem(LEDGER, line, f"says of attempt {event.attempt} what its {event.artifacts.outcome} does not")


def _agree(event: AttemptFinished, outcome: Outcome) -> bool:
    sealed = event.artifacts
    return (
        sealed is not None
        and (outcome.step, outcome.attempt, outcome.metrics) == (event.step, event.attempt, event.metrics)
        and sealed.count == len(outcome.artifacts)
        and sealed.bytes == sum(artifact.bytes for artifact in outcome.artifacts)
    )
