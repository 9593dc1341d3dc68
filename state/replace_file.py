"""Replace a small file that follows something else: a reader sees the old file or the new one, never a part."""

import os
from pathlib import Path

__all__ = ["write_atomically"]


def write_atomically(path: Path, text: str) -> None:
    """Replace a file by `text`; it is not flushed to the disk.

    Raises
    ------
    OSError
        When the disk does not take it; the file is then as it was before.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(text.encode())
        os.replace(temporary, path)  # noqa: PTH105 - every commit comes through here
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
