"""Verify artifacts in both directions: every sealed file is there unchanged, and no other file lies beside them."""

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

from stagewright.state.artifacts import Artifact
from stagewright.state.chain import Problem
from stagewright.state.run_directory import RunDirectory
from stagewright.state.spec.goal import CHECKPOINTS
from stagewright.tools.verification.digests import FileDigests
from stagewright.tools.verification.fold import LEDGER, FoldedLedger
from stagewright.tools.verification.manifest import Listed, ManifestFile
from stagewright.tools.verification.outcomes import ReadOutcome

__all__ = ["ArtifactCheck"]


@dataclass(slots=True)
class _Compared:
    """One artifact: where it may lie, with the digests of what is there, and what is said of it otherwise.

    Attributes
    ----------
    digests
        Of the files that have its size.
    otherwise
        The problem, unless one of the digests is the sealed one.
    """

    sha256: str
    digests: list[Future[str]]
    otherwise: Problem

    def problems(self) -> Iterator[Problem]:
        try:
            holds = any(digest.result() == self.sha256 for digest in self.digests)
        except OSError as error:
            yield Problem(self.otherwise.file, None, f"cannot be read: {error}", self.otherwise.since)
            return
        if not holds:
            yield self.otherwise


@dataclass(slots=True)
class ArtifactCheck:
    """The comparison of the checkpoints' folders with what the newest executed attempt of each step sealed.

    What an earlier attempt had sealed was moved to ``superseded/`` of a later one, and is compared there. Where the
    outcome of an attempt cannot be read, what the manifest lists for its step is compared instead. Where the ledger
    breaks off, only the steps that were done with before that are compared, and the other files are counted.

    Digests are asked for when it begins, and looked at when its problems are.
    """

    run: RunDirectory
    folded: FoldedLedger
    digests: FileDigests
    _compared: list[_Compared | Problem] = field(default_factory=list)
    _known: set[str] = field(default_factory=set)
    _untold: set[str] = field(default_factory=set)

    def begin(self, outcomes: Iterable[ReadOutcome], manifest: ManifestFile) -> None:
        """Look which files are there, and ask for their digests."""
        present = _settled_attempts(self.folded)
        state = self.folded.state
        newest = set() if state is None else {sealed.attempt for sealed in state.sealed.values()}
        folders = _attempt_folders(self.run.path)
        for read in outcomes:
            attempt, since = read.event.attempt, read.item.sealed_here
            if attempt in present and read.outcome is None:
                listed = manifest.listed(read.step)
                self._known |= {item.path for item in listed}
                self._compared += [self._present(item, "the manifest lists", since) for item in listed]
                if (len(listed), sum(item.bytes for item in listed)) != (read.sealed.count, read.sealed.bytes):
                    self._untold.add(read.step.partition("/")[0])
            elif attempt in present and read.outcome is not None:
                self._known |= {artifact.path for artifact in read.outcome.artifacts}
                self._compared += [self._present(item, "were sealed", since) for item in read.outcome.artifacts]
            elif attempt not in newest and read.outcome is not None:
                later = [folder / "superseded" for number, folder in folders if number > attempt]
                self._compared += [self._superseded(item, attempt, later, since) for item in read.outcome.artifacts]

    def problems(self) -> list[Problem]:
        """Return what is wrong with the artifacts, and the files that nobody declared."""
        found: list[Problem] = []
        for item in self._compared:
            found += [item] if isinstance(item, Problem) else item.problems()
        if not self.folded.holds:
            return [*found, *_unchecked(self.run, self.folded, self._known)]
        return [*found, *_strangers(self.run.path, self._known, self._untold)]

    def _present(self, item: Artifact | Listed, said: str, since: str) -> _Compared | Problem:
        path = self.run.path / item.path
        if path.is_symlink():
            return Problem(item.path, None, "is a symbolic link; a file was sealed", since)
        if not path.is_file():
            return Problem(item.path, None, f"is missing; {item.bytes} bytes {said}", since)
        if (size := path.stat().st_size) != item.bytes:
            return Problem(item.path, None, f"has {size} bytes; {item.bytes} {said}", since)
        changed = Problem(item.path, None, "was changed after it was sealed (its sha256 differs)", since)
        return _Compared(item.sha256, [self.digests.ask(path, size)], changed)

    def _superseded(self, artifact: Artifact, attempt: int, later: list[Path], since: str) -> _Compared:
        places = [folder / artifact.path for folder in later]
        kept = [place for place in places if place.is_file() and not place.is_symlink()]
        what = "was changed" if kept else "is missing"
        lost = Problem(artifact.path, None, f"of attempt {attempt}, since replaced, {what} in superseded/", since)
        alike = [place for place in kept if place.stat().st_size == artifact.bytes]
        return _Compared(artifact.sha256, [self.digests.ask(place, artifact.bytes) for place in alike], lost)


def _settled_attempts(folded: FoldedLedger) -> set[int]:
    """Return the attempts whose artifacts certainly lie in the checkpoints' folders."""
    state = folded.state
    if state is None:
        return set()
    open_steps = () if folded.holds else state.steps[state.position :]  # the lost lines may have executed them again
    return {sealed.attempt for step, sealed in state.sealed.items() if step not in open_steps}


def _attempt_folders(run: Path) -> list[tuple[int, Path]]:
    try:
        folders = sorted((run / "attempts").iterdir())
    except OSError:
        return []
    return [(int(folder.name[:4]), folder) for folder in folders if folder.name[:4].isdigit()]


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
