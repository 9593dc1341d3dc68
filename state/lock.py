"""Lock a run for one transition, and say who holds it.

The lock is the operating system's, on `.lock`: it goes with the process that holds it, however that ends, so there are
no stale locks. The holder writes into the file who it is; the record is for people and refusals, never for deciding.
Waiting is bounded. An attempt's life is shown in the same way by `alive.lock`, which its supervisor holds to the end.
"""

import json
import os
import platform
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from filelock import lock_descriptor, unlock_descriptor

from stagewright.state.clock import stamp, utc_now
from stagewright.state.refusals import Refusal

__all__ = ["hold_alive", "is_alive", "run_lock"]

WAIT_S = 10.0
POLL_S = 0.02
PROBE_S = 1.0


@contextmanager
def run_lock(path: Path, *, run_id: str | None, wait_s: float = WAIT_S) -> Iterator[None]:
    """Hold the run's lock for the length of the `with` block.

    Parameters
    ----------
    path
        The lock file of the run directory.
    run_id
        Named in the refusal; None for the lock of a root, which planning holds.
    wait_s
        How long to wait for another holder, in seconds.

    Raises
    ------
    Refusal
        `run_locked`, naming the holder, when the lock is not free within `wait_s`.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        deadline = time.monotonic() + wait_s
        while not _try_lock(fd):
            if time.monotonic() >= deadline:
                holder = _read_holder(fd)
                raise Refusal(
                    "run_locked",
                    f"another process holds this run's lock for a transition: {holder}. Nothing was changed; "
                    f"a transition takes well under a second, so call again; waited {wait_s:g} s.",
                    run_id=run_id,
                )
            time.sleep(POLL_S)
        _write_holder(fd, utc_now())
        yield
    finally:
        os.close(fd)


def hold_alive(path: Path) -> int:
    """Take an attempt's `alive.lock` and return its descriptor, to be handed to the supervisor.

    An OS lock belongs to the open file, so a child that inherits the descriptor holds the lock from its first
    instruction: there is no moment in which a started attempt looks dead.

    Raises
    ------
    RuntimeError
        When somebody holds it: the attempt is running.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    deadline = time.monotonic() + PROBE_S  # `is_alive` holds the lock for an instant while it looks
    while not _try_lock(fd):
        if time.monotonic() >= deadline:
            os.close(fd)
            raise RuntimeError(f"{path} is held: this attempt is running")
        time.sleep(POLL_S)
    return fd


def is_alive(path: Path) -> bool:
    """Return whether a supervisor lives that holds this `alive.lock`."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        if _try_lock(fd):
            unlock_descriptor(fd)
            return False
        return True
    finally:
        os.close(fd)


def _try_lock(fd: int) -> bool:
    return lock_descriptor(fd, blocking=False)


def _write_holder(fd: int, since: datetime) -> None:
    record = {"pid": os.getpid(), "host": socket.gethostname(), "boot_id": _boot_id(), "since": stamp(since)}
    os.ftruncate(fd, 0)
    os.pwrite(fd, (json.dumps(record) + "\n").encode(), 0)


def _read_holder(fd: int) -> str:
    try:
        holder = json.loads(os.pread(fd, 4096, 0))
        return f"pid {holder['pid']} on {holder['host']} since {holder['since']}"
    except (ValueError, KeyError, TypeError):
        return "a process that has not written its name yet"


@lru_cache(maxsize=1)
def _boot_id() -> str:
    """Return what tells this boot of this machine from another: a pid means nothing across a restart."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return platform.node()
