"""The worker's process: started in a session of its own, watched, and ended with everything that it started."""

import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from stagewright.stages.failure import Failure
from stagewright.stages.worker_command import pinned_environment, worker_command
from stagewright.state.attempts import CANCEL, FAILURE, RESULT, TRACEBACK, WORKER_LOG
from stagewright.state.lifeline import VARIABLE, lifeline
from stagewright.state.step_request import StepRequest
from stagewright.state.units import format_bytes, format_seconds

__all__ = ["WorkerEnding", "run_worker"]

POLL_S = 0.05
LATER_POLL_S = 0.25
SIGN_OF_LIFE_S = 1.0
GRACE_S = 2.0


@dataclass(slots=True)
class WorkerEnding:
    """How a worker ended.

    Attributes
    ----------
    exit_status
        As `subprocess` has it: minus the signal's number when a signal ended it.
    over
        Which limit was passed, when the worker was ended for it.
    seen
        The processes of its tree, those included that left its process group.
    """

    exit_status: int | None = None
    elapsed_s: float = 0.0
    peak_rss_bytes: int = 0
    over: Failure | None = None
    seen: set[psutil.Process] = field(default_factory=set)


def run_worker(folder: Path, request: StepRequest) -> WorkerEnding:
    """Run the worker of an attempt to its end, or to its limits, and leave no process of it."""
    started = time.monotonic()
    ending = WorkerEnding()
    for stale in (RESULT, FAILURE, TRACEBACK):
        (folder / stale).unlink(missing_ok=True)
    with lifeline() as reading, (folder / WORKER_LOG).open("ab") as log:
        worker = subprocess.Popen(  # noqa: S603 - our own module, no shell
            worker_command(folder),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=(reading,),
            start_new_session=True,
            env=pinned_environment() | {VARIABLE: str(reading)},
            cwd=folder,
        )
        try:
            _watch(worker, folder, request, started, ending)
        finally:
            _end_tree(worker, ending.seen)
    ending.exit_status = worker.returncode
    ending.elapsed_s = time.monotonic() - started
    return ending


def _watch(
    worker: subprocess.Popen[bytes],
    folder: Path,
    request: StepRequest,
    started: float,
    ending: WorkerEnding,
) -> None:
    """Return when the worker has ended by itself, or has to be ended."""
    signs_of_life = 0
    while worker.poll() is None:
        tree = _tree(worker.pid)
        ending.seen.update(tree)
        ending.peak_rss_bytes = max(ending.peak_rss_bytes, _rss(tree))
        elapsed_s = time.monotonic() - started
        if elapsed_s // SIGN_OF_LIFE_S > signs_of_life:
            signs_of_life += 1
            os.utime(folder / "alive.lock")  # tells how long an attempt lived whose supervisor was killed
        if (folder / CANCEL).exists():
            return
        if elapsed_s > request.limits.runtime_s:
            limit = format_seconds(request.limits.runtime_s)
            ending.over = Failure(error=f"the run-time budget is used up: {limit} were left for it", transient=False)
            return
        if ending.peak_rss_bytes > request.limits.memory_bytes:
            used, limit = format_bytes(ending.peak_rss_bytes), format_bytes(request.limits.memory_bytes)
            ending.over = Failure(error=f"the memory budget was passed: {used} of {limit}", transient=False)
            return
        with suppress(subprocess.TimeoutExpired):
            # Walking the process tree costs more the more processes the machine has: often only at the start.
            worker.wait(POLL_S if elapsed_s < GRACE_S else LATER_POLL_S)


def _tree(pid: int) -> list[psutil.Process]:
    """Return a process and its descendants."""
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _rss(tree: list[psutil.Process]) -> int:
    """Return the resident bytes of some processes."""
    total = 0
    for process in tree:
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            total += process.memory_info().rss
    return total


def _end_tree(worker: subprocess.Popen[bytes], seen: set[psutil.Process]) -> None:
    """End the worker's process group, and what was seen to leave it: ask first, then kill."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(worker.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        worker.wait(GRACE_S)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(worker.pid, signal.SIGKILL)
    for process in seen:
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            process.kill()  # only if it is still the process that was seen
    worker.wait()
