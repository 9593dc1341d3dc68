"""Publish what an attempt staged, or take back what one published that never got as far as the ledger."""

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import ValidationError

from stagewright.state.artifacts import OUTCOME, Artifact, Outcome, seal
from stagewright.state.attempts import RESULT
from stagewright.state.canonical import digest_file
from stagewright.state.durable import sync_file, sync_tree, write_durably
from stagewright.state.records import ArtifactSeal

__all__ = ["publish", "withdraw"]

SUPERSEDED = "superseded"
WITHDRAWN = "withdrawn"


def publish(run: Path, attempt: Path, outcome: Outcome, *, kept: Iterable[str]) -> ArtifactSeal:
    """Move the staged artifacts of an attempt to their places and write its `outcome.json`, all of it on the disk.

    Called again after a disk has refused, it goes on where it was.

    Parameters
    ----------
    run, attempt
        The run directory and the attempt's folder in it.
    outcome
        What the worker reports.
    kept
        The paths, relative to `run`, of the artifacts that other steps have sealed. Everything else that lies in this
        checkpoint's folder is moved to ``superseded/`` of the attempt: it belongs to an earlier attempt of this step,
        or to one that died while it published.

    Raises
    ------
    OSError
        When a file cannot be moved; nothing is sealed then.
    ValueError
        When a file that the worker reported is neither staged nor in its place.
    """
    checkpoint, staging = outcome.step.partition("/")[0], attempt / "staging"
    moved = {artifact.path for artifact in outcome.artifacts if not (staging / artifact.path).is_file()}
    _set_aside(run, checkpoint, attempt / SUPERSEDED, {*kept, *moved})
    for artifact in outcome.artifacts:
        place = run / artifact.path
        if artifact.path in moved:
            _check_moved(place, artifact)
            continue
        sync_file(staging / artifact.path)
        place.parent.mkdir(parents=True, exist_ok=True)
        (staging / artifact.path).replace(place)
    sync_tree([run / artifact.path for artifact in outcome.artifacts], run)
    shutil.rmtree(staging, ignore_errors=True)  # only empty folders are left of it
    listing = attempt / OUTCOME
    write_durably(listing, outcome.model_dump_json(indent=1, exclude_none=True) + "\n")
    return seal(run, listing, outcome)


def withdraw(run: Path, attempt: Path) -> None:
    """Take back what an attempt published whose outcome the ledger will never hold.

    Its files go to ``withdrawn/`` of the attempt, and what they had replaced, which the ledger may hold, comes back.
    An attempt that published nothing is left as it is.

    Raises
    ------
    OSError
        When a file cannot be moved.
    """
    try:
        reported = Outcome.model_validate_json((attempt / RESULT).read_bytes()).artifacts
    except (OSError, ValidationError):
        return  # `result.json` stays until the ledger has the outcome, so nothing was published
    superseded = attempt / SUPERSEDED
    for artifact in reported:
        if not (attempt / "staging" / artifact.path).exists() and _is_own(run / artifact.path, artifact):
            _move(run / artifact.path, attempt / WITHDRAWN / artifact.path)
    for path in [*_files(superseded)]:
        place = run / path.relative_to(superseded)
        if not place.exists() and not place.is_symlink():
            _move(path, place)


def _is_own(place: Path, artifact: Artifact) -> bool:
    return place.is_file() and not place.is_symlink() and digest_file(place) == artifact.sha256


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_dir():
            yield path


def _move(path: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    path.replace(place)


def _check_moved(place: Path, artifact: Artifact) -> None:
    if not _is_own(place, artifact):
        raise ValueError(f"{artifact.path} was reported by the worker and is not there")


def _set_aside(run: Path, checkpoint: str, aside: Path, kept: set[str]) -> None:
    folder = run / checkpoint
    # A link is moved like a file and never followed: it may lead out of the run.
    for path in [folder] if folder.is_symlink() else [*_files(folder)]:
        relative = path.relative_to(run)
        if relative.as_posix() not in kept:
            _move(path, aside / relative)
