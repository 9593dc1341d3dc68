"""Artifacts: the files that a stage writes, each with what it promises, its bytes and its sha256.

A stage writes into its attempt's staging folder through an `ArtifactWriter` and through nothing else. When the worker
has ended well, its supervisor publishes them: what an earlier attempt of the step left in the way is moved aside, the
new files are moved to their places, and `outcome.json` lists them. The ledger seals the digest of `outcome.json`.
"""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import Field, JsonValue

from stagewright.state.canonical import digest_file
from stagewright.state.durable import sync_file, sync_tree, write_durably
from stagewright.state.records import ArtifactSeal, FailureKind, Record, Sha256

__all__ = [
    "Artifact",
    "ArtifactFormat",
    "ArtifactWriter",
    "Outcome",
    "Skipped",
    "UnitRecord",
    "publish",
    "read_outcome",
    "seal",
]

ArtifactFormat = Literal["npy", "csv", "parquet", "h5ad", "json", "other"]
OUTCOME = "outcome.json"


class Artifact(Record):
    """One file of a stage.

    Attributes
    ----------
    path
        Relative to the run directory, with forward slashes.
    shape
        What it promises: ``[n, k]`` of an npy; ``[rows, columns]`` of a csv or parquet; ``[n_obs, n_vars]`` of an h5ad.
    columns
        The columns of a csv or parquet.
    obsm, varm
        For an h5ad, the number of columns of each array.
    """

    path: str
    format: ArtifactFormat
    bytes: int
    sha256: Sha256
    shape: tuple[int, ...] | None = None
    columns: tuple[str, ...] | None = None
    obs: tuple[str, ...] | None = None
    obsm: dict[str, int] = Field(default_factory=dict)
    varm: dict[str, int] = Field(default_factory=dict)


class Skipped(Record):
    """A patient that has no result, and why."""

    patient: str
    reason: str
    where: str = ""


class UnitRecord(Record):
    """What became of one unit of work, and why it ran or did not.

    Attributes
    ----------
    how
        It ran, its result was taken from the run's cache, or it failed where the spec allows that.
    why
        In words, naming the changed input where an earlier result could not be used.
    key
        The digest of everything that the result depends on; None for a unit that is never cached.
    artifacts
        The artifacts that it wrote.
    """

    name: str
    how: Literal["ran", "reused", "failed"]
    why: str = ""
    elapsed_s: float = 0.0
    key: Sha256 | None = None
    method: str | None = None
    k: int | None = None
    preprocess: str | None = None
    error: str | None = None
    kind: FailureKind | None = None
    artifacts: tuple[str, ...] = ()


class Outcome(Record):
    """What a worker reports when it has ended well: `outcome.json` once its artifacts are published.

    Attributes
    ----------
    metrics
        Key numbers by name, e.g. ``plan1b.best.auc``.
    configurations
        The configurations that were scored, e.g. ``hvg_3000/nmf/k_20``.
    units
        What became of each unit of work.
    """

    step: str
    attempt: int
    artifacts: tuple[Artifact, ...]
    metrics: dict[str, float] = Field(default_factory=dict)
    k_by_method: dict[str, int] = Field(default_factory=dict)
    k_shortlist: dict[str, tuple[int, ...]] = Field(default_factory=dict)
    configurations: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    units: tuple[UnitRecord, ...] = ()
    notes: tuple[str, ...] = ()
    n_cells: int | None = None
    trials: tuple[dict[str, JsonValue], ...] = ()


class ArtifactWriter:
    """Hands out places in a staging folder and records what was written there.

    Parameters
    ----------
    staging
        The attempt's staging folder; it mirrors the run directory.
    """

    def __init__(self, staging: Path) -> None:
        self.staging = staging
        self._artifacts: dict[str, Artifact] = {}

    def place(self, path: PurePosixPath) -> Path:
        """Return where to write the artifact whose place in the run directory is `path`."""
        if path.is_absolute() or ".." in path.parts:
            raise ValueError(f"{path} is not a place inside the run directory")
        place = self.staging / path
        place.parent.mkdir(parents=True, exist_ok=True)
        return place

    def record(
        self,
        path: PurePosixPath,
        form: ArtifactFormat,
        *,
        shape: tuple[int, ...] | None = None,
        columns: Iterable[str] | None = None,
        obs: Iterable[str] | None = None,
        obsm: dict[str, int] | None = None,
        varm: dict[str, int] | None = None,
    ) -> Artifact:
        """Record a file that was written whole: its bytes, its digest and what it promises."""
        place = self.staging / path
        artifact = Artifact(
            path=path.as_posix(),
            format=form,
            bytes=place.stat().st_size,
            sha256=digest_file(place),
            shape=shape,
            columns=None if columns is None else tuple(columns),
            obs=None if obs is None else tuple(obs),
            obsm=obsm or {},
            varm=varm or {},
        )
        self._artifacts[artifact.path] = artifact
        return artifact

    def write_json(self, path: PurePosixPath, value: JsonValue) -> Artifact:
        """Write a value as JSON and record it."""
        text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        self.place(path).write_text(text, encoding="utf-8")
        return self.record(path, "json")

    def artifacts(self) -> tuple[Artifact, ...]:
        """Return what was recorded, ordered by path."""
        return tuple(self._artifacts[path] for path in sorted(self._artifacts))


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
    _set_aside(run, checkpoint, attempt / "superseded", {*kept, *moved})
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


def _check_moved(place: Path, artifact: Artifact) -> None:
    if place.is_symlink() or not place.is_file() or digest_file(place) != artifact.sha256:
        raise ValueError(f"{artifact.path} was reported by the worker and is not there")


def seal(run: Path, listing: Path, outcome: Outcome) -> ArtifactSeal:
    """Return what the ledger says about an outcome."""
    return ArtifactSeal(
        outcome=listing.relative_to(run).as_posix(),
        outcome_sha256=digest_file(listing),
        count=len(outcome.artifacts),
        bytes=sum(artifact.bytes for artifact in outcome.artifacts),
    )


def read_outcome(run: Path, sealed: ArtifactSeal) -> Outcome:
    """Return a sealed outcome.

    Raises
    ------
    ValueError
        When the file is missing, or differs from what the ledger sealed.
    """
    path = run / sealed.outcome
    if not path.is_file():
        raise ValueError(f"{sealed.outcome} is missing; the ledger seals it")
    if digest_file(path) != sealed.outcome_sha256:
        raise ValueError(f"{sealed.outcome} was changed after it was sealed (its sha256 differs from the ledger's)")
    return Outcome.model_validate_json(path.read_bytes())


def _set_aside(run: Path, checkpoint: str, aside: Path, kept: set[str]) -> None:
    folder = run / checkpoint
    # A link is moved like a file and never followed: it may lead out of the run.
    for path in [folder] if folder.is_symlink() else sorted(folder.rglob("*")):
        relative = path.relative_to(run)
        if (path.is_dir() and not path.is_symlink()) or relative.as_posix() in kept:
            continue
        (aside / relative).parent.mkdir(parents=True, exist_ok=True)
        path.replace(aside / relative)
