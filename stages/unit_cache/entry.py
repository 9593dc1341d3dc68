"""One entry of the unit cache: a folder with a unit's files and `entry.json`, which vouches for them and for itself."""

import stat
from pathlib import Path

from pydantic import JsonValue, ValidationError

from stagewright.stages.unit_cache.code_version import Kind
from stagewright.stages.unit_cache.inputs import key_of
from stagewright.state.artifacts import Artifact
from stagewright.state.canonical import digest_file, digest_json
from stagewright.state.records import Record

__all__ = ["ENTRY", "FILES", "Entry", "EntryDamaged", "checked_entry", "read_entry"]

ENTRY = "entry.json"
FILES = "files"
"""The folder of an entry that holds the unit's files, whatever their names."""


class EntryDamaged(Exception):  # noqa: N818 - says what happened
    """An entry is not what was stored; the text names the file and what is wrong with it."""


class Entry(Record):
    """What was kept of one unit.

    Attributes
    ----------
    name, step, attempt
        The unit, and where it ran.
    inputs, code
        What the result depends on, as in `UnitInputs`; `key` is their digest.
    value
        What the unit gave beside its files.
    artifacts
        Its files, with paths relative to ``files/`` of the entry's folder.
    digest
        The sha256 over all the other fields.
    """

    kind: Kind
    key: str
    name: str
    step: str
    attempt: int
    inputs: dict[str, JsonValue]
    code: dict[str, str]
    value: JsonValue = None
    artifacts: tuple[Artifact, ...] = ()
    digest: str = ""

    def signed(self) -> "Entry":
        """Return the entry with its digest."""
        return self.model_copy(update={"digest": self.own_digest()})

    def own_digest(self) -> str:
        """Return the digest over all the other fields."""
        return digest_json(self.model_dump(mode="json", exclude={"digest"}))


def read_entry(folder: Path) -> Entry:
    """Return what `entry.json` of a folder says, if it is whole; the files it lists are not looked at.

    Raises
    ------
    EntryDamaged
        When it is missing, unreadable, or was changed.
    """
    path = folder / ENTRY
    if not _is_file(path):
        raise EntryDamaged(f"{ENTRY}: missing, or no regular file")
    try:
        entry = Entry.model_validate_json(path.read_bytes())
        sound = entry.own_digest() == entry.digest and key_of(entry.kind, entry.code, entry.inputs) == entry.key
    except (OSError, ValidationError, ValueError, RecursionError) as error:
        raise EntryDamaged(f"{ENTRY}: cannot be read, {type(error).__name__}") from error
    if not sound:
        raise EntryDamaged(f"{ENTRY}: its digest differs")
    return entry


def checked_entry(folder: Path, key: str) -> Entry:
    """Return the entry of a key after looking at every byte of it.

    Raises
    ------
    EntryDamaged
        When anything in the folder is not what was stored there under this key.
    """
    if folder.is_symlink() or not folder.is_dir():
        raise EntryDamaged(f"{folder.name}: no folder")
    entry = read_entry(folder)
    if entry.key != key:
        raise EntryDamaged(f"{ENTRY}: it belongs to another key")
    for artifact in entry.artifacts:
        _check_file(folder / FILES, artifact)
    owed = {ENTRY, *(f"{FILES}/{artifact.path}" for artifact in entry.artifacts)}
    for path in sorted(folder.rglob("*")):
        place = path.relative_to(folder).as_posix()
        if place not in owed and (path.is_symlink() or not path.is_dir()):
            raise EntryDamaged(f"{place}: nobody stored it")
    return entry


def _check_file(folder: Path, artifact: Artifact) -> None:
    path = folder / artifact.path
    try:
        if path.exists() and not _is_file(path):
            raise EntryDamaged(f"{artifact.path}: no regular file")
        path.resolve(strict=True).relative_to(folder.resolve(strict=True))
        size = path.stat().st_size
        if size != artifact.bytes:
            raise EntryDamaged(f"{artifact.path}: {size} bytes instead of {artifact.bytes}")
        if digest_file(path) != artifact.sha256:
            raise EntryDamaged(f"{artifact.path}: sha256 differs")
    except FileNotFoundError as error:
        raise EntryDamaged(f"{artifact.path}: missing") from error
    except ValueError as error:
        raise EntryDamaged(f"{artifact.path}: leads out of the entry") from error
    except OSError as error:
        raise EntryDamaged(f"{artifact.path}: cannot be read, {error.strerror}") from error


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False
