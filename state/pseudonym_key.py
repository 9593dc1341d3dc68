"""The secret key by which patients are named: made once under a root, read by its owner only, and never written down.

A run keeps `key_id`, a digest by which another key is told from this one; nobody gets from it to the key.
"""

import hashlib
import os
import secrets
from contextlib import suppress
from pathlib import Path

from stagewright.state.durable import sync_folder
from stagewright.state.records import Record

__all__ = ["KEY_NAME", "KeyUnusable", "PseudonymKey", "id_of_key", "make_key", "read_key"]

KEY_NAME = ".pseudonym_key"
"""In the folder of the runs, beside them."""
FEWEST_CHARS = 32
MOST_BYTES = 4096
ID_DIGITS = 16
ID_OF = b"stagewright pseudonym key\n"


class KeyUnusable(Exception):  # noqa: N818 - names the state of the key, as Refusal names the reply
    """The key is gone, is another than the run's, or is no key; the message says where it was looked for."""


class PseudonymKey(Record):
    """Where the key lies, and which one it has to be."""

    key_file: str
    key_id: str


def make_key(path: Path) -> None:
    """Make a key that its owner alone can read, whole or not at all; one that another process made first stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    building = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    building.unlink(missing_ok=True)
    fd = os.open(building, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(fd, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            with suppress(FileExistsError):
                os.link(building, path)
        except OSError:  # a file system without links
            if not path.exists():
                building.rename(path)
    finally:
        building.unlink(missing_ok=True)
    sync_folder(path.parent)


def read_key(path: Path, key_id: str | None = None) -> bytes:
    """Return a key.

    Parameters
    ----------
    key_id
        Of the key that it has to be; None for whichever lies there.

    Raises
    ------
    KeyUnusable
        When it cannot be read, is too short to be a secret, or is another.
    """
    try:
        with path.open("rb") as file:
            key = file.read(MOST_BYTES).strip()
    except OSError as error:
        raise KeyUnusable(f"the pseudonym key {path} cannot be read: {error.strerror or error}") from error
    if len(key) < FEWEST_CHARS:
        raise KeyUnusable(f"the pseudonym key {path} has fewer than {FEWEST_CHARS} characters, which can be guessed")
    if key_id is not None and id_of_key(key) != key_id:
        raise KeyUnusable(f"{path} holds another pseudonym key (id {id_of_key(key)}) than the run's (id {key_id})")
    return key


def id_of_key(key: bytes) -> str:
    """Return what tells a key from others."""
    return hashlib.sha256(ID_OF + key).hexdigest()[:ID_DIGITS]
