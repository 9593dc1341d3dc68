"""Write so that it is on the disk when the call returns: a power cut may then take what comes after, never this.

The ledger acknowledges what files hold by their digests, so those files have to reach the disk before its entry does:
their content by fsync, their names by fsync of the folder. What is only a cache needs none of this.
"""

import os
from collections.abc import Iterable
from pathlib import Path

__all__ = ["sync_file", "sync_folder", "sync_tree", "write_durably"]


def write_durably(path: Path, text: str) -> None:
    """Replace a file by `text` and return when file and name are on the disk.

    Raises
    ------
    OSError
        When the disk does not take it; the file is then as it was before.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_file(path: Path) -> None:
    """Return when the content of a file is on the disk, whoever wrote it."""
    _sync(path, os.O_RDONLY)


def sync_folder(folder: Path) -> None:
    """Return when the names in a folder are on the disk."""
    _sync(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))


def sync_tree(paths: Iterable[Path], root: Path) -> None:
    """Return when the names of files and of all their folders up to `root` are on the disk; contents are not synced."""
    folders = {folder for path in paths for folder in path.parents if folder == root or root in folder.parents}
    for folder in sorted(folders, key=lambda folder: -len(folder.parts)):
        sync_folder(folder)


def _sync(path: Path, flags: int) -> None:
    fd = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
