"""Which files of a run go into its crate, and their copies, each digested as it is copied."""

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from stagewright.state.artifacts import OUTCOME, Artifact
from stagewright.state.attempts import LEFT_BY_ATTEMPT, REQUEST
from stagewright.state.canonical import BLOCK_BYTES
from stagewright.state.refusals import Refusal
from stagewright.state.run_directory import LOG_NAMES, RunDirectory

__all__ = ["CrateFile", "copy_contents", "name_by_content"]

OF_ATTEMPTS = (REQUEST, OUTCOME, "supervisor.log", *LEFT_BY_ATTEMPT)
"""What an attempt leaves for good, and the ledger seals; its lock and what it staged are of no use to anybody else."""


@dataclass(frozen=True, slots=True)
class CrateFile:
    """One file of the run.

    Attributes
    ----------
    path
        Relative to the run directory, and, if it is `copied`, to the crate.
    artifact
        What was sealed of it, where it is a result of a step.
    """

    path: str
    bytes: int
    sha256: str
    copied: bool = True
    artifact: Artifact | None = None


def name_by_content(sha256: str) -> str:
    """Return the address of a file that is not in the crate: its digest, as RFC 6920 writes it.

    >>> name_by_content("00" * 32)
    'ni:///sha-256;AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'
    """
    return f"ni:///sha-256;{urlsafe_b64encode(bytes.fromhex(sha256)).decode().rstrip('=')}"


def copy_contents(
    run: RunDirectory, artifacts: Mapping[str, Artifact], crate: Path, largest_bytes: int
) -> dict[str, CrateFile]:
    """Copy the record of a run and its sealed artifacts, and return every file by its path.

    Parameters
    ----------
    artifacts
        The sealed ones, by path.
    crate
        The folder to copy into.
    largest_bytes
        Artifacts above this size are named and not copied. The record is always whole.

    Raises
    ------
    Refusal
        `damaged` when an artifact is not what was sealed.
    """
    found: dict[str, CrateFile] = {}
    for path in sorted(_record(run)):
        name = path.relative_to(run.path).as_posix()
        is_log = name in {f"logs/{log}.log" for log in LOG_NAMES}
        size, digest = _copied(path, crate / name, whole_lines=is_log)
        found[name] = CrateFile(name, size, digest)
    for name, artifact in sorted(artifacts.items()):
        copied = artifact.bytes <= largest_bytes
        if copied:
            _, digest = _copied(run.path / name, crate / name)
            if digest != artifact.sha256:
                raise Refusal("damaged", f"{name} changed while it was copied; `stagewright verify` says more")
        found[name] = CrateFile(name, artifact.bytes, artifact.sha256, copied, artifact)
    return found


def _record(run: RunDirectory) -> Iterator[Path]:
    """Yield the files of the record: those that lie in the run directory itself, its logs, gene lists and attempts."""
    folders = [run.path, run.path / "logs", run.path / "gene_lists"]
    for folder in folders:
        if folder.is_dir():
            yield from (path for path in folder.iterdir() if _is_plain(path) and not path.name.startswith("."))
    for name in OF_ATTEMPTS:
        yield from (path for path in (run.path / "attempts").glob(f"*/{name}") if _is_plain(path))


def _is_plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _copied(source: Path, target: Path, *, whole_lines: bool = False) -> tuple[int, str]:
    """Copy a file and return its size and sha256; of a log that grows, what was acknowledged when it was read."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if whole_lines:
        content = source.read_bytes()
        content = content[: content.rfind(b"\n") + 1]
        target.write_bytes(content)
        return len(content), hashlib.sha256(content).hexdigest()
    digest, size = hashlib.sha256(), 0
    with source.open("rb") as reading, target.open("wb") as writing:
        while block := reading.read(BLOCK_BYTES):
            digest.update(block)
            size += len(block)
            writing.write(block)
    return size, digest.hexdigest()
