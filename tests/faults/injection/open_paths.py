"""Which path an argument or a descriptor means."""

import os
import sys
from typing import Any

__all__ = ["path_of_argument", "path_of_fd"]

F_GETPATH = 50
PATH_BYTES = 1024


def path_of_argument(path: Any, folder_fd: int | None = None) -> str:
    """Return the absolute path that an argument of a system call means."""
    if isinstance(path, int):
        return path_of_fd(path)
    text = os.fsdecode(path)
    if not os.path.isabs(text) and folder_fd is not None:
        text = os.path.join(path_of_fd(folder_fd), text)
    return os.path.abspath(text)


def path_of_fd(fd: int) -> str:
    """Return the path that a descriptor was opened by; empty when it has none."""
    try:
        if sys.platform == "darwin":
            import fcntl  # there is no /proc

            return os.fsdecode(fcntl.fcntl(fd, F_GETPATH, b"\0" * PATH_BYTES).rstrip(b"\0"))
        return os.readlink(f"/proc/self/fd/{fd}").removesuffix(" (deleted)")
    except OSError:
        return ""
