"""Keep what a child prints in a file of bounded size: its beginning and its end, and how much was left out."""

import os
from contextlib import suppress
from pathlib import Path
from typing import IO

__all__ = ["CappedLog"]

MOST_BYTES = 8 << 20
KEPT_BYTES = 1 << 20
BLOCK_BYTES = 1 << 16


class CappedLog:
    """A log file that never grows beyond `most` bytes.

    When it would, its middle is replaced by a line that says how much was left out: the first and the last megabyte
    stay, and the file goes on from there. A disk that takes nothing stops nobody: the bytes are counted and dropped.

    Parameters
    ----------
    path
        The file; appended to where it exists.

    Attributes
    ----------
    total
        Bytes printed so far, also those that were left out.
    """

    def __init__(self, path: Path, *, most: int = MOST_BYTES, kept: int = KEPT_BYTES) -> None:
        self._path = path
        self._most = most
        self._kept = kept
        self._left_out = 0
        self._head = b""
        self.total = 0

    def drain(self, source: IO[bytes]) -> None:
        """Take everything from a pipe until its last writer is gone."""
        with self._opened() as file:
            while block := source.read(BLOCK_BYTES):
                self.total += len(block)
                with suppress(OSError):
                    file.write(block)
                    if file.tell() > self._most:
                        self._cut(file)

    def _opened(self) -> IO[bytes]:
        try:
            return self._path.open("ab", buffering=0)
        except OSError:
            return Path(os.devnull).open("ab", buffering=0)

    def _cut(self, file: IO[bytes]) -> None:
        with self._path.open("rb") as present:
            if not self._head:
                self._head = present.read(self._kept)
            size = present.seek(0, 2)
            present.seek(size - self._kept)
            tail = present.read()
        self._left_out = self.total - len(self._head) - len(tail)
        between = f"\n... {self._left_out:,} bytes of output were left out here ...\n".encode()
        file.truncate(0)  # opened for appending: what is written next stands at the beginning
        file.write(self._head + between + tail)
