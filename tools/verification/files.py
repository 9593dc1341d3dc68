"""Verify artifacts in both directions: every sealed file is there unchanged, and no other file lies beside them."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from stagewright.state.artifacts import Artifact
from stagewright.state.canonical import digest_file
from stagewright.state.chain import Problem
from stagewright.state.run_directory import RunDirectory
from stagewright.state.spec.goal import CHECKPOINTS
from stagewright.tools.verification.fold import LEDGER, FoldedLedger
from stagewright.tools.verification.manifest import Listed, ManifestFile
from stagewright.tools.verification.outcomes import ReadOutcome

__all__ = ["artifact_problems"]


def artifact_problems(
    run: RunDirectory, folded: FoldedLedger, outcomes: Iterable[ReadOutcome], manifest: ManifestFile
) -> list[Problem]:
    """Compare the checkpoints' folders with what the newest executed attempt of each step sealed.

    What an earlier attempt had sealed was moved to ``superseded/`` of a later one, and is compared there. Where the
    outcome of an attempt cannot be read, what the manifest lists for its step is compared instead. Where the ledger
    breaks off, only the steps that were done with before that are compared, and the other files are counted.
    """
    found: list[Problem] = []
    known: set[str] = set()
    untold: set[str] = set()
    present = _settled_attempts(folded)
    newest = {} if folded.state is None else {sealed.attempt: step for step, sealed in folded.state.sealed.items()}
    for read in outcomes:
        attempt = read.event.attempt
        if attempt in present and read.outcome is None:
            listed = manifest.listed(read.step)
            known |= {item.path for item in listed}
            found += [problem for item in listed for problem in _compare(run.path, item, "the manifest lists")]
            if (len(listed), sum(item.bytes for item in listed)) != (read.sealed.count, read.sealed.bytes):
                untold.add(read.step.partition("/")[0])
        elif attempt in present and read.outcome is not None:
            known |= {artifact.path for artifact in read.outcome.artifacts}
            for artifact in read.outcome.artifacts:
                found += _compare(run.path, artifact, "were sealed")
        elif attempt not in newest and read.outcome is not None:
            for artifact in read.outcome.artifacts:
                found += _superseded(run.path, artifact, attempt)
    if not folded.holds:
        return [*found, *_unchecked(run, folded, known)]
    return [*found, *_strangers(run.path, known, untold)]


def _settled_attempts(folded: FoldedLedger) -> set[int]:
    """Return the attempts whose artifacts certainly lie in the checkpoints' folders."""
    state = folded.state
    if state is None:
        return set()
    open_steps = () if folded.holds else state.steps[state.position :]  # the lost lines may have executed them again
    return {sealed.attempt for step, sealed in state.sealed.items() if step not in open_steps}


def _compare(run: Path, item: Artifact | Listed, said: str) -> Iterator[Problem]:
    path = run / item.path
    if path.is_symlink():
        yield Problem(item.path, None, "is a symbolic link; a file was sealed")
    elif not path.is_file():
        yield Problem(item.path, None, f"is missing; {item.bytes} bytes {said}")
    elif (size := path.stat().st_size) != item.bytes:
        yield Problem(item.path, None, f"has {size} bytes; {item.bytes} {said}")
    elif digest_file(path) != item.sha256:
        yield Problem(item.path, None, "was changed after it was sealed (its sha256 differs)")


def _superseded(run: Path, artifact: Artifact, attempt: int) -> Iterator[Problem]:
    places = [
        folder / "superseded" / artifact.path
        for folder in sorted((run / "attempts").iterdir())
        if folder.name[:4].isdigit() and int(folder.name[:4]) > attempt
    ]
    kept = [place for place in places if place.is_file() and not place.is_symlink()]
    if not any(place.stat().st_size == artifact.bytes and digest_file(place) == artifact.sha256 for place in kept):
        what = "was changed" if kept else "is missing"
        yield Problem(artifact.path, None, f"of attempt {attempt}, since replaced, {what} in superseded/")


def _unchecked(run: RunDirectory, folded: FoldedLedger, known: set[str]) -> Iterator[Problem]:
    n = sum(1 for checkpoint in CHECKPOINTS for path in _files(run.path, checkpoint) if path not in known)
    n += run.snapshot.is_file() + run.manifest.is_file()
    if n:
        place = "agent_run.log" if folded.broken_at is None else f"agent_run.log:{folded.broken_at}"
        files = "1 file" if n == 1 else f"{n} files"
        what = f"{files} could not be checked because {place} does not hold"
        yield Problem(LEDGER, folded.broken_at, what)


def _strangers(run: Path, known: set[str], untold: set[str]) -> Iterator[Problem]:
    for checkpoint in CHECKPOINTS:
        if (run / checkpoint).is_symlink():
            yield Problem(checkpoint, None, "is a symbolic link; a run's results lie in the run")
        elif checkpoint not in untold:
            for path in _files(run, checkpoint):
                if path not in known:
                    yield Problem(path, None, "lies in a checkpoint's folder and no step declared it")


def _files(run: Path, checkpoint: str) -> Iterator[str]:
    """Yield every file and link in a checkpoint's folder, relative to the run directory."""
    if (run / checkpoint).is_symlink():
        return
    for folder, folders, files in os.walk(run / checkpoint, followlinks=False):
        linked = [name for name in folders if (Path(folder) / name).is_symlink()]
        for name in sorted((*files, *linked)):
            yield (Path(folder) / name).relative_to(run).as_posix()
