"""Verify the files whose digests stand in the ledger: spec and plan, the requests and the outcomes of attempts."""

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from stagewright.state.artifacts import Outcome
from stagewright.state.attempts import REQUEST, UNITS
from stagewright.state.canonical import digest_file
from stagewright.state.chain import Problem
from stagewright.state.events import AttemptFinished, AttemptLost, AttemptStarted, RunPlanned
from stagewright.state.layout import gene_list_file, survey_file
from stagewright.state.run_directory import RunDirectory
from stagewright.tools.verification.fold import LEDGER, FoldedLedger, Recorded
from stagewright.tools.verification.outcomes import ReadOutcome

__all__ = ["sealed_problems"]


def sealed_problems(run: RunDirectory, folded: FoldedLedger, outcomes: Iterable[ReadOutcome]) -> list[Problem]:
    """Compare every file that an entry of the ledger seals with its digest."""
    found: list[Problem] = []
    for item in folded.recorded:
        for name, digest in _sealed_by(run, item):
            found += _compare(run.path, name, digest, item)
    for read in outcomes:
        found += _outcome_problems(read)
    return found


def _sealed_by(run: RunDirectory, item: Recorded) -> Iterator[tuple[str, str]]:
    """Yield each file that an entry seals by its digest, relative to the run directory."""
    match item.event:
        case RunPlanned() as event:
            yield run.spec.name, event.spec_sha256
            if event.plan_sha256 is not None:
                yield run.plan.name, event.plan_sha256
            if event.survey_sha256 is not None:
                yield survey_file().as_posix(), event.survey_sha256
            for digest in (event.data.gene_lists or {}).values():
                yield gene_list_file(digest).as_posix(), digest
        case AttemptStarted() as event:
            yield f"{event.directory}/{REQUEST}", event.request_sha256
        case AttemptFinished() | AttemptLost() as event:
            files = dict(event.files)
            if isinstance(event, AttemptFinished) and event.units_sha256 is not None:
                files[UNITS] = event.units_sha256
            folder = run.attempt(event.attempt, str(event.step)).relative_to(run.path).as_posix()
            for name, digest in files.items():
                yield f"{folder}/{PurePosixPath(name).name}", digest
        case _:
            pass


def _compare(run: Path, name: str, digest: str, item: Recorded) -> Iterator[Problem]:
    path = run / name
    if path.is_symlink():
        yield Problem(name, None, "is a symbolic link; a file was sealed", item.sealed_here)
    elif not path.is_file():
        yield Problem(name, None, "is missing; the ledger seals it", item.sealed_here)
    elif digest_file(path) != digest:
        what = "was changed after it was sealed (its sha256 differs from the ledger's)"
        yield Problem(name, None, what, item.sealed_here)


def _outcome_problems(read: ReadOutcome) -> Iterator[Problem]:
    if read.outcome is None:
        files = f"the {read.sealed.count} files" if read.sealed.count != 1 else "the 1 file"
        untold = f"{files} of {read.step}, attempt {read.event.attempt}, cannot be told from it"
        yield Problem(read.sealed.outcome, None, f"{read.fault}; {untold}", read.item.sealed_here)
    elif not _agree(read.event, read.outcome):
        what = f"says of attempt {read.event.attempt} what its {read.sealed.outcome} does not"
        yield Problem(LEDGER, read.item.line, what, read.item.sealed_here)


def _agree(event: AttemptFinished, outcome: Outcome) -> bool:
    sealed = event.artifacts
    return (
        sealed is not None
        and (outcome.step, outcome.attempt, outcome.metrics) == (event.step, event.attempt, event.metrics)
        and sealed.count == len(outcome.artifacts)
        and sealed.bytes == sum(artifact.bytes for artifact in outcome.artifacts)
    )
