"""Artifacts: the files that a stage writes, each with what it promises, its bytes and its sha256.

A stage writes into its attempt's staging folder through an `ArtifactWriter` and through nothing else. When the worker
has ended well, its supervisor publishes them (`state.publishing`), and `outcome.json` lists them. The ledger seals the
digest of `outcome.json`.
"""

import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import Field, JsonValue

from stagewright.state.canonical import digest_file
from stagewright.state.computed_with import ComputedWith
from stagewright.state.executor import ExecutorRecord
from stagewright.state.records import ArtifactSeal, FailureKind, Record, Sha256

__all__ = [
    "OUTCOME",
    "Artifact",
    "ArtifactFormat",
    "ArtifactWriter",
    "Outcome",
    "Skipped",
    "UnitRecord",
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
    entry, made_by
        The digest of its entry in the cache, and the attempt that made that; None where there is none.
    artifacts
        The artifacts that it wrote.
    """

    name: str
    how: Literal["ran", "reused", "failed"]
    why: str = ""
    elapsed_s: float = 0.0
    key: Sha256 | None = None
    entry: Sha256 | None = None
    made_by: int | None = None
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
    executor
        What the heavy calls ran on; None where there were none, all of their results being there already.
    computed_with
        The software and the processor of the worker; an earlier version said nothing of them.
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
    executor: ExecutorRecord | None = None
    computed_with: ComputedWith | None = None


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
        if place.is_file():
            place.unlink()  # it may be a second name of a file of the unit cache, which must not change
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

    def adopt(self, folder: PurePosixPath, source: Path, artifacts: Iterable[Artifact]) -> tuple[Artifact, ...]:
        """Take files that lie elsewhere, and record them as they were recorded there.

        A file gets a second name where the file system can do that, and is copied where it cannot. So neither name may
        ever be written through: artifacts are replaced and moved, never changed.

        Parameters
        ----------
        folder
            Where they belong in the run directory.
        source
            The folder that they lie in now.
        artifacts
            What was recorded of them, with paths relative to `source`.
        """
        adopted = []
        for artifact in artifacts:
            path = folder / artifact.path
            _link_or_copy(source / artifact.path, self.place(path))
            own = artifact.model_copy(update={"path": path.as_posix()})
            self._artifacts[own.path] = own
            adopted.append(own)
        return tuple(adopted)

    def artifacts(self) -> tuple[Artifact, ...]:
        """Return what was recorded, ordered by path."""
        return tuple(self._artifacts[path] for path in sorted(self._artifacts))


def _link_or_copy(source: Path, place: Path) -> None:
    try:
        os.link(source, place, follow_symlinks=False)
    except (OSError, NotImplementedError):  # another device, too many names, or a file system without links
        shutil.copyfile(source, place, follow_symlinks=False)


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
