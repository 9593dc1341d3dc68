"""The processes of an attempt: find them all, measure them, and leave none of them.

A worker and what it starts share a session, but a child may leave it and its parent may end. On Linux the supervisor
and the worker adopt such orphans (`PR_SET_CHILD_SUBREAPER`), so that they stay in the tree; everywhere each process of
an attempt carries its folder in its environment, by which what still runs at the end is found.
"""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil

__all__ = ["ATTEMPT_VARIABLE", "adopt_orphans", "end_leftovers", "end_tree", "memory_of", "reap_orphans", "tree_of"]

ATTEMPT_VARIABLE = "STAGEWRIGHT_ATTEMPT"
PR_SET_CHILD_SUBREAPER = 36
SWEEPS = 20
GONE = (psutil.NoSuchProcess, psutil.AccessDenied)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends; without effect where the system cannot do it."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap_orphans(but: int) -> None:
    """Collect adopted children that have ended, so that they do not stay as zombies.

    Parameters
    ----------
    but
        The pid of the child that somebody else waits for.
    """
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess, ChildProcessError):
            if child.pid != but and child.status() == psutil.STATUS_ZOMBIE:
                os.waitpid(child.pid, os.WNOHANG)


def tree_of(worker: int) -> set[psutil.Process]:
    """Return a worker and every descendant of this process: what it started, and what was adopted of it."""
    processes = set(psutil.Process().children(recursive=True))
    with suppress(psutil.NoSuchProcess):
        processes.add(psutil.Process(worker))
    return processes


def memory_of(tree: Iterable[psutil.Process], limit: int) -> int:
    """Return the memory of some processes in bytes.

    That is the sum of their resident sets; where this passes `limit` and the system can tell, pages that they share
    are counted once (proportional set size), so that forked children do not count their parent's memory again.
    """
    processes = list(tree)
    resident = sum(_memory(process, "rss") for process in processes)
    if resident <= limit or len(processes) == 1 or sys.platform != "linux":
        return resident
    return min(resident, sum(_memory(process, "pss") for process in processes))


def _memory(process: psutil.Process, what: str) -> int:
    with suppress(*GONE):
        return int(process.memory_info().rss if what == "rss" else process.memory_full_info().pss)
    return 0


def end_tree(worker: subprocess.Popen[bytes], seen: Iterable[psutil.Process], folder: Path, grace_s: float) -> None:
    """End a worker with everything that it started: ask first, then kill, and look for what slipped away."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(worker.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        worker.wait(grace_s)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(worker.pid, signal.SIGKILL)
    for process in seen:
        _kill(process)  # psutil does so only if it is still the process that was seen
    worker.wait()
    for _ in range(SWEEPS):  # what goes on forking may be a step ahead of one sweep
        adopted = psutil.Process().children(recursive=True)
        for process in adopted:
            _kill(process)
        if not end_leftovers(folder) and not any(_runs(process) for process in adopted):
            break


def end_leftovers(folder: Path) -> int:
    """Kill every process that carries the folder of an attempt in its environment; return how many there were."""
    found = [process for process in _working_in(str(folder)) if process.pid != os.getpid() and _runs(process)]
    for process in found:
        _kill(process)
    return len(found)


def _working_in(folder: str) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        with suppress(*GONE, OSError):
            if process.environ().get(ATTEMPT_VARIABLE) == folder:
                yield process


def _runs(process: psutil.Process) -> bool:
    with suppress(*GONE):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False


def _kill(process: psutil.Process) -> None:
    with suppress(*GONE):
        process.kill()
