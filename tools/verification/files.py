"""Verify artifacts in both directions: every sealed file is there unchanged, and no other file lies beside them."""

import os
from collections.abc import Iterator
from pathlib import Path

from stagewright.state.artifacts import Artifact, read_outcome
from stagewright.state.canonical import digest_file
from stagewright.state.chain import Problem
from stagewright.state.events import AttemptFinished
from stagewright.state.records import ArtifactSeal
from stagewright.state.run_directory import RunDirectory
from stagewright.state.spec.goal import CHECKPOINTS
from stagewright.tools.verification.fold import FoldedLedger

__all__ = ["artifact_problems"]


def artifact_problems(run: RunDirectory, folded: FoldedLedger) -> list[Problem]:
    """Compare the checkpoints' folders with what the newest executed attempt of each step sealed.

    What an earlier attempt had sealed was moved to ``superseded/`` of a later one, and is compared there.
    """
    if folded.state is None:
        return []
    found: list[Problem] = []
    declared: set[str] = set()
    present = {sealed.attempt for sealed in folded.state.sealed.values()}
    for item in folded.recorded:
        if not isinstance(item.event, AttemptFinished) or item.event.artifacts is None:
            continue
        artifacts = _listed(run, item.event.artifacts)
        if item.event.attempt in present:
            declared |= {artifact.path for artifact in artifacts}
            found += [problem for artifact in artifacts for problem in _compare(run.path, artifact)]
        else:
            found += [
                problem for artifact in artifacts for problem in _superseded(run.path, artifact, item.event.attempt)
            ]
    found += _strangers(run.path, declared)
    return found


def _listed(run: RunDirectory, sealed: ArtifactSeal) -> tuple[Artifact, ...]:
    try:
        return read_outcome(run.path, sealed).artifacts
    except ValueError:
        return ()  # the damaged outcome is a problem of its own; its files count as undeclared


def _compare(run: Path, artifact: Artifact) -> Iterator[Problem]:
    path = run / artifact.path
    if path.is_symlink():
        yield Problem(artifact.path, None, "is a symbolic link; a file was sealed")
    elif not path.is_file():
        yield Problem(artifact.path, None, f"is missing; {artifact.bytes} bytes were sealed")
    elif (size := path.stat().st_size) != artifact.bytes:
        yield Problem(artifact.path, None, f"has {size} bytes; {artifact.bytes} were sealed")
    elif digest_file(path) != artifact.sha256:
        yield Problem(artifact.path, None, "was changed after it was sealed (its sha256 differs)")


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


def _strangers(run: Path, declared: set[str]) -> Iterator[Problem]:
    for checkpoint in CHECKPOINTS:
        if (run / checkpoint).is_symlink():
            yield Problem(checkpoint, None, "is a symbolic link; a run's results lie in the run")
            continue
        for folder, folders, files in os.walk(run / checkpoint, followlinks=False):
            linked = [name for name in folders if (Path(folder) / name).is_symlink()]
            for name in sorted((*files, *linked)):
                path = (Path(folder) / name).relative_to(run).as_posix()
                if path not in declared:
                    yield Problem(path, None, "lies in a checkpoint's folder and no step declared it")
