"""The worker's process: started in a session of its own, watched, and ended with everything that it started."""

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from stagewright.stages.capped_log import CappedLog
from stagewright.stages.failure import Failure
from stagewright.stages.process_tree import ATTEMPT_VARIABLE, adopt_orphans, end_tree, memory_of, reap_orphans, tree_of
from stagewright.stages.worker_command import pinned_environment, worker_command
from stagewright.state.attempts import FAILURE, RESULT, TRACEBACK, WORKER_LOG
from stagewright.state.lifeline import VARIABLE, lifeline
from stagewright.state.step_request import StepRequest
from stagewright.state.units import format_bytes, format_seconds

__all__ = ["WorkerEnding", "run_worker"]

POLL_S = 0.05
LATER_POLL_S = 0.25
SIGN_OF_LIFE_S = 1.0
GRACE_S = 2.0
DRAIN_S = 5.0
NEAR = 0.5
"""From this share of the memory limit on, the tree is measured as often as at the start."""


@dataclass(slots=True)
class WorkerEnding:
    """How a worker ended.

    Attributes
    ----------
    exit_status
        As `subprocess` has it: minus the signal's number when a signal ended it.
    output_bytes
        What it and its children printed.
    drained
        Whether all of that is in `worker.log`: nobody holds the pipe any more.
    over
        Which limit was passed, when the worker was ended for it.
    seen
        The processes of its tree, those included that left its process group.
    """

    exit_status: int | None = None
    elapsed_s: float = 0.0
    peak_rss_bytes: int = 0
    output_bytes: int = 0
    drained: bool = True
    over: Failure | None = None
    seen: set[psutil.Process] = field(default_factory=set)


def run_worker(folder: Path, request: StepRequest, stopped: Callable[[], bool]) -> WorkerEnding:
    """Run the worker of an attempt to its end, or to its limits, and leave no process of it.

    Parameters
    ----------
    folder
        Of the attempt.
    stopped
        Tells whether the run was stopped meanwhile.
    """
    started = time.monotonic()
    ending = WorkerEnding()
    adopt_orphans()
    for stale in (RESULT, FAILURE, TRACEBACK):
        (folder / stale).unlink(missing_ok=True)
    log = CappedLog(folder / WORKER_LOG)
    with lifeline() as reading:
        worker = subprocess.Popen(  # noqa: S603 - our own module, no shell
            worker_command(folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            pass_fds=(reading,),
            start_new_session=True,
            env=pinned_environment() | {VARIABLE: str(reading), ATTEMPT_VARIABLE: str(folder)},
            cwd=folder,
        )
        with _drained(worker, log, ending):
            try:
                _watch(worker, folder, request, log, started, stopped, ending)
            finally:
                end_tree(worker, ending.seen, folder, GRACE_S)
    ending.exit_status = worker.returncode
    ending.output_bytes = log.total
    ending.elapsed_s = time.monotonic() - started
    return ending


@contextmanager
def _drained(worker: subprocess.Popen[bytes], log: CappedLog, ending: WorkerEnding) -> Iterator[None]:
    """Take what the worker prints on another thread: a full pipe would hold it up."""
    if worker.stdout is None:
        raise RuntimeError("the pipe was asked for")
    drain = threading.Thread(target=log.drain, args=(worker.stdout,), daemon=True)
    drain.start()
    try:
        yield
    finally:
        drain.join(DRAIN_S)
        ending.drained = not drain.is_alive()
        if ending.drained:
            worker.stdout.close()


def _watch(
    worker: subprocess.Popen[bytes],
    folder: Path,
    request: StepRequest,
    log: CappedLog,
    started: float,
    stopped: Callable[[], bool],
    ending: WorkerEnding,
) -> None:
    """Return when the worker has ended by itself, or has to be ended."""
    signs_of_life = 0
    limit = request.limits.memory_bytes
    while worker.poll() is None:
        tree = tree_of(worker.pid)
        ending.seen.update(tree)
        used = memory_of(tree, limit)
        ending.peak_rss_bytes = max(ending.peak_rss_bytes, used)
        elapsed_s = time.monotonic() - started
        if elapsed_s // SIGN_OF_LIFE_S > signs_of_life:
            signs_of_life += 1
            with suppress(OSError):
                os.utime(folder / "alive.lock")  # tells how long an attempt lived whose supervisor was killed
            ending.seen = {process for process in ending.seen if process.is_running()}
            reap_orphans(worker.pid)
        if stopped():
            return
        ending.over = _over(request, elapsed_s, used, log.total)
        if ending.over is not None:
            return
        with suppress(subprocess.TimeoutExpired):
            # Walking the process tree costs more the more processes the machine has: often only where it matters.
            worker.wait(POLL_S if elapsed_s < GRACE_S or used > NEAR * limit else LATER_POLL_S)


def _over(request: StepRequest, elapsed_s: float, used: int, printed: int) -> Failure | None:
    """Return which limit was passed, if one was."""
    limits = request.limits
    if elapsed_s > limits.runtime_s:
        left = format_seconds(limits.runtime_s)
        return Failure(error=f"the run-time budget is used up: {left} were left for it", kind="runtime_budget")
    if used > limits.memory_bytes:
        what = f"{format_bytes(used)} of {format_bytes(limits.memory_bytes)}"
        return Failure(error=f"the memory budget was passed: {what}", kind="memory_budget")
    if printed > request.output_bytes:
        what = f"{format_bytes(printed)} of {format_bytes(request.output_bytes)}; worker.log has the beginning and end"
        return Failure(error=f"it printed more than an attempt may: {what}", kind="output_limit")
    return None
