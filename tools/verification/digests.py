"""Digest the files of a run on threads, while the logs are read on another.

`hashlib` and `read` let go of the interpreter's lock for the length of a block. A thread that wants it back waits for
some milliseconds while another one parses, so blocks are large.
"""

import hashlib
import os
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["FileDigests"]

WORKERS = 4
BLOCK_BYTES = 8 << 20
AT_ONCE_BYTES = 64 << 10
"""Up to this size a file is digested at once: handing it over takes longer."""


class FileDigests:
    """Digests that are asked for first and looked at later. To be used in a `with` block."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def ask(self, path: Path, size: int) -> Future[str]:
        """Ask for the sha256 of a file of so many bytes. Its result is the digest, or raises OSError."""
        if size > AT_ONCE_BYTES:
            self._pool = self._pool or ThreadPoolExecutor(min(WORKERS, os.cpu_count() or 1))
            return self._pool.submit(_digest, path)
        answer: Future[str] = Future()
        try:
            answer.set_result(_digest(path))
        except OSError as error:
            answer.set_exception(error)
        return answer


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        block = memoryview(bytearray(min(BLOCK_BYTES, os.fstat(file.fileno()).st_size + 1)))
        while n_bytes := file.readinto(block):
            digest.update(block[:n_bytes])
    return digest.hexdigest()
