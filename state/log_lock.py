"""Hold a log file's own lock, for the length of one read or write of its end, and wait for it within bounds.

Whoever appends holds it while the line is written and flushed, which takes milliseconds. A process that was stopped, or
hangs on a dead network disk, in just that moment must not hang everybody else.
"""

import errno
import fcntl
import os
import time
from pathlib import Path

__all__ = ["LogHeld", "hold_log", "let_go_of_log"]

WAIT_S = 10.0
FIRST_POLL_S = 0.0005
MOST_POLL_S = 0.02


class LogHeld(TimeoutError):  # noqa: N818 - names the state of the log, as Refusal names the reply
    """Another process holds a log for longer than any write takes; nothing was written. It may let go of it."""

    def __init__(self, text: str) -> None:
        super().__init__(errno.EAGAIN, text)

    def __str__(self) -> str:
        """Return what is held, by whom, and what to do."""
        return str(self.strerror)


def hold_log(fd: int, name: str, *, exclusive: bool, wait_s: float = WAIT_S) -> None:
    """Take the lock of an open log; it goes with the descriptor.

    Parameters
    ----------
    name
        The log's name, for the error.
    exclusive
        To write; readers share the lock.
    wait_s
        How long to wait, in seconds.

    Raises
    ------
    LogHeld
        When it is not free in time; names the holder where the system tells it.
    """
    operation = (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB
    deadline, poll_s = time.monotonic() + wait_s, FIRST_POLL_S
    while True:
        try:
            fcntl.flock(fd, operation)
        except BlockingIOError as error:
            if time.monotonic() >= deadline:
                raise LogHeld(
                    f"{name} is held by {_holder(fd)} since more than {wait_s:g} s, and a write takes milliseconds: "
                    "that process was stopped or hangs; end it or let it go on",
                ) from error
            time.sleep(poll_s)
            poll_s = min(2 * poll_s, MOST_POLL_S)
        else:
            return


def let_go_of_log(fd: int) -> None:
    """Let others write to an open log that goes on being read."""
    fcntl.flock(fd, fcntl.LOCK_UN)


def _holder(fd: int) -> str:
    """Return the process that has a lock on the open file, as Linux lists it."""
    facts = os.fstat(fd)
    place = f"{os.major(facts.st_dev):02x}:{os.minor(facts.st_dev):02x}:{facts.st_ino}"
    try:
        for line in Path("/proc/locks").read_text().splitlines():
            words = line.split()
            if place in words and words[1] == "FLOCK" and "->" not in words:
                return f"pid {words[words.index(place) - 1]}"
    except OSError:
        pass
    return "another process"
