"""End a child process with its parent, however the parent ends.

The parent keeps the writing end of a pipe and gives the child the reading end. When the parent goes, even by kill -9,
the system closes the pipe, and the child ends itself with everything that it has started.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["VARIABLE", "end_with_parent", "lifeline"]

VARIABLE = "STAGEWRIGHT_LIFELINE"


@contextmanager
def lifeline() -> Iterator[int]:
    """Give the reading end of a new pipe, for `pass_fds` and `VARIABLE` of a child; the block is the child's life."""
    reading, writing = os.pipe()
    try:
        yield reading
    finally:
        os.close(writing)
        os.close(reading)


def end_with_parent() -> bool:
    """In a child: watch the pipe that the parent has passed; return whether it has, so that this is a child."""
    passed = os.environ.pop(VARIABLE, None)
    if passed is not None:
        threading.Thread(target=_watch, args=(int(passed),), daemon=True).start()
    return passed is not None


def _watch(reading: int) -> None:
    os.read(reading, 1)  # returns only when the last writing end is closed
    import psutil  # noqa: PLC0415 - needed at the end only, and not by every child

    for process in psutil.Process().children(recursive=True):  # also those that left the process group
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    os.killpg(os.getpgid(0), signal.SIGKILL)
