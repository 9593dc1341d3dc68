"""Close a file descriptor at the end of a `with` block."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["closing_fd"]


@contextmanager
def closing_fd(fd: int) -> Iterator[int]:
    """Give the descriptor and close this process's copy of it at the end, whatever happens."""
    try:
        yield fd
    finally:
        os.close(fd)
