"""Verify the files whose digests stand in the ledger: spec and plan, the requests and the outcomes of attempts."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from stagewright.state.artifacts import Outcome
from stagewright.state.attempts import REQUEST, UNITS
from stagewright.state.canonical import digest_file
from stagewright.state.chain import Problem
from stagewright.state.events import AttemptFinished, AttemptStarted, RunPlanned
from stagewright.state.layout import gene_list_file, survey_file
from stagewright.state.run_directory import RunDirectory
from stagewright.tools.verification.fold import LEDGER, FoldedLedger
from stagewright.tools.verification.outcomes import ReadOutcome

__all__ = ["sealed_problems"]


def sealed_problems(run: RunDirectory, folded: FoldedLedger, outcomes: Iterable[ReadOutcome]) -> list[Problem]:
    """Compare every file that an entry of the ledger seals with its digest."""
    found: list[Problem] = []
    for item in folded.recorded:
        match item.event:
            case RunPlanned():
                found += _compare(run.path, run.spec.name, item.event.spec_sha256)
                if item.event.plan_sha256 is not None:
                    found += _compare(run.path, run.plan.name, item.event.plan_sha256)
                if item.event.survey_sha256 is not None:
                    found += _compare(run.path, survey_file().as_posix(), item.event.survey_sha256)
                for digest in (item.event.data.gene_lists or {}).values():
                    found += _compare(run.path, gene_list_file(digest).as_posix(), digest)
            case AttemptStarted():
                found += _compare(run.path, f"{item.event.directory}/{REQUEST}", item.event.request_sha256)
            case AttemptFinished(units_sha256=str(digest)):
                folder = run.attempt(item.event.attempt, str(item.event.step)).relative_to(run.path).as_posix()
                found += _compare(run.path, f"{folder}/{UNITS}", digest)
            case _:
                pass
    for read in outcomes:
        found += _outcome_problems(read)
    return found


def _compare(run: Path, name: str, digest: str) -> Iterator[Problem]:
    path = run / name
    if not path.is_file():
        yield Problem(name, None, "is missing; the ledger seals it")
    elif digest_file(path) != digest:
        yield Problem(name, None, "was changed after it was sealed (its sha256 differs from the ledger's)")


def _outcome_problems(read: ReadOutcome) -> Iterator[Problem]:
    if read.outcome is None:
        files = f"the {read.sealed.count} files" if read.sealed.count != 1 else "the 1 file"
        untold = f"{files} of {read.step}, attempt {read.event.attempt}, cannot be told from it"
        yield Problem(read.sealed.outcome, None, f"{read.fault}; {untold}")
    elif not _agree(read.event, read.outcome):
        what = f"says of attempt {read.event.attempt} what its {read.sealed.outcome} does not"
        yield Problem(LEDGER, read.line, what)


def _agree(event: AttemptFinished, outcome: Outcome) -> bool:
    sealed = event.artifacts
    return (
        sealed is not None
        and (outcome.step, outcome.attempt, outcome.metrics) == (event.step, event.attempt, event.metrics)
        and sealed.count == len(outcome.artifacts)
        and sealed.bytes == sum(artifact.bytes for artifact in outcome.artifacts)
    )
