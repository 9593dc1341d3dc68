"""The supervisor: sees one step's attempts through to the ledger, whatever becomes of the server that started it.

It holds the attempt's `alive.lock`, starts the worker in a process group of its own, watches wall-clock time and the
memory of the whole process tree, ends the tree when a limit is passed or the run was stopped, publishes the artifacts
and commits the outcome. A transient failure is tried again with back-off while the step has retries left.
"""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import stamina

from stagewright.stages.failure import Failure, killed
from stagewright.stages.proposals import propose, propose_more_budget
from stagewright.state.artifacts import Outcome, publish, read_outcome
from stagewright.state.attempts import CANCEL, FAILURE, REQUEST, RESULT, TRACEBACK, WORKER_LOG, open_attempt, tail_lines
from stagewright.state.events import AttemptFinished, AttemptStarted
from stagewright.state.ledger import Ledger, Transition
from stagewright.state.lock import hold_alive
from stagewright.state.records import Blocked, Proposal
from stagewright.state.run_directory import RunDirectory
from stagewright.state.run_state import RunState, split_step
from stagewright.state.step_request import StepRequest
from stagewright.state.units import format_bytes, format_seconds

__all__ = ["pinned_environment", "supervise", "worker_command"]

POLL_S = 0.05
SIGN_OF_LIFE_S = 1.0
GRACE_S = 2.0
COMMIT_WAIT_S = 600.0
LAST_LINES = 12
ERROR_CHARS = 600
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


class _TryAgain(Exception):  # noqa: N818 - not an error: it tells stamina to wait and go on
    """The attempt failed in a way that another may not, and the step has retries left."""


@dataclass(slots=True)
class _Ending:
    """How a worker ended. `seen` are the processes of its tree, those included that left its process group."""

    exit_status: int | None = None
    elapsed_s: float = 0.0
    peak_rss_bytes: int = 0
    cancelled: bool = False
    over: Failure | None = None
    seen: set[psutil.Process] = field(default_factory=set)


def supervise(run: RunDirectory, request: StepRequest) -> None:
    """See a started attempt through, and its retries; every ending is in the ledger before this returns.

    The caller has committed `attempt_started` and holds the attempt's `alive.lock` for this process.
    """
    ledger = Ledger(run)
    retries_left = request.limits.retries - ledger.fold().tries
    tries = stamina.retry_context(
        on=_TryAgain,
        attempts=max(1, retries_left + 1),
        timeout=None,
        wait_initial=0.5,
        wait_max=30.0,
        wait_jitter=0.5,
    )
    current: StepRequest | None = request
    for one in tries:
        with one:
            if one.num > 1:
                current = _open_retry(ledger, current)
            if current is None:
                return
            _attempt(ledger, current)


def worker_command(attempt: Path, lifeline: int | None = None) -> list[str]:
    """Return the argv of an attempt's worker."""
    command = [sys.executable, "-P", "-m", "stagewright.stages", "work", str(attempt)]
    return command if lifeline is None else [*command, "--lifeline", str(lifeline)]


def pinned_environment() -> dict[str, str]:
    """Return the environment of a child: BLAS on one thread, so that results do not depend on the number of cores."""
    return os.environ | dict.fromkeys(THREADS, "1") | {"PYTHONUNBUFFERED": "1"}


def _attempt(ledger: Ledger, request: StepRequest) -> None:
    folder = ledger.run.attempt(request.attempt, request.step)
    ending = _run_worker(folder, request)
    with ledger.transition(wait_s=COMMIT_WAIT_S) as transition:
        if transition.state.status == "stopped":
            transition.commit(_finished(request, ending, "cancelled", "cancelled: the run was stopped"))
            return
        if ending.exit_status == 0 and ending.over is None:
            failure = _publish(transition, ledger.run, folder, request, ending)
        else:
            failure = ending.over or _failure_of(folder, ending)
        if failure is None:
            return
        retrying = failure.transient and transition.state.tries < request.limits.retries
        retrying = retrying and ending.elapsed_s < request.limits.runtime_s
        _commit_failure(transition, folder, request, ending, failure, retrying=retrying)
    if retrying:
        raise _TryAgain


def _publish(
    transition: Transition,
    run: RunDirectory,
    folder: Path,
    request: StepRequest,
    ending: _Ending,
) -> Failure | None:
    """Publish and commit an attempt that ended well; return the failure if publishing was not possible."""
    try:
        outcome = Outcome.model_validate_json((folder / RESULT).read_bytes())
        others = [sealed for step, sealed in transition.state.sealed.items() if _is_beside(step, request.step)]
        kept = [item.path for sealed in others for item in read_outcome(run.path, sealed.artifacts).artifacts]
        sealed = publish(run.path, folder, outcome, kept=kept)
    except (OSError, ValueError) as error:
        return Failure(error=f"the results could not be published: {error}", transient=isinstance(error, OSError))
    (folder / RESULT).unlink()  # outcome.json says the same, and is what the ledger seals
    event = _finished(request, ending, "executed", f"executed; {sealed.count} artifacts, {format_bytes(sealed.bytes)}")
    transition.commit(
        event.model_copy(
            update={
                "artifacts": sealed,
                "metrics": outcome.metrics,
                "k_by_method": outcome.k_by_method,
                "k_shortlist": outcome.k_shortlist,
                "configurations": outcome.configurations,
            },
        ),
    )
    return None


def _is_beside(step: str, other: str) -> bool:
    return step != other and split_step(step)[0] == split_step(other)[0]


def _commit_failure(
    transition: Transition,
    folder: Path,
    request: StepRequest,
    ending: _Ending,
    failure: Failure,
    *,
    retrying: bool,
) -> None:
    error = failure.error if len(failure.error) <= ERROR_CHARS else failure.error[:ERROR_CHARS] + "..."
    event = _finished(request, ending, "failed", f"failed: {error}")
    trace = folder / TRACEBACK  # the error in full
    blocked = Blocked(
        error=error,
        traceback=trace.relative_to(folder.parent.parent).as_posix() if trace.exists() else None,
        last_lines=tail_lines(folder / WORKER_LOG, LAST_LINES),
        proposals=_proposals(failure, request, ending, transition.state),
    )
    update = {"transient": failure.transient, "will_retry": retrying, "blocked": None if retrying else blocked}
    transition.commit(event.model_copy(update=update))


def _proposals(failure: Failure, request: StepRequest, ending: _Ending, state: RunState) -> tuple[Proposal, ...]:
    used_s = state.runtime_used_s + ending.elapsed_s
    short = {
        "runtime": ending.elapsed_s >= request.limits.runtime_s,
        "memory": ending.peak_rss_bytes > request.limits.memory_bytes,
    }
    more = propose_more_budget(state.effective_limits, used_s, request.caps.runtime_s, request.caps.memory_bytes)
    needed = [proposal for proposal in more if any(short[name] for name in proposal.adjustments)]
    return (*needed, *propose(failure, request))


def _finished(request: StepRequest, ending: _Ending, outcome: str, what: str) -> AttemptFinished:
    used = f"in {format_seconds(ending.elapsed_s)}, peak {format_bytes(ending.peak_rss_bytes)}"
    return AttemptFinished.model_validate(
        {
            "message": f"{request.step} attempt {request.attempt} {what} ({used})",
            "step": request.step,
            "actor": "supervisor",
            "attempt": request.attempt,
            "outcome": outcome,
            "exit_status": ending.exit_status,
            "elapsed_s": round(ending.elapsed_s, 3),
            "peak_rss_bytes": ending.peak_rss_bytes,
        },
    )


def _open_retry(ledger: Ledger, failed: StepRequest) -> StepRequest | None:
    """Open the next attempt at the same step and return its request; None when the run was stopped meanwhile."""
    with ledger.transition(wait_s=COMMIT_WAIT_S) as transition:
        if transition.state.status != "running":
            return None
        spent = transition.state.runtime_used_s
        left = max(1.0, transition.state.effective_limits.runtime_s - spent)
        limits = failed.limits.model_copy(update={"runtime_s": left})
        request = failed.model_copy(update={"attempt": failed.attempt + 1, "limits": limits})
        folder, digest = open_attempt(ledger.run, request)
        hold_alive(folder / "alive.lock")  # held until this process ends
        transition.commit(
            AttemptStarted(
                message=f"{request.step} attempt {request.attempt} started (a retry)",
                step=request.step,
                actor="supervisor",
                attempt=request.attempt,
                directory=folder.relative_to(ledger.run.path).as_posix(),
                command=tuple(worker_command(folder)),
                request_sha256=digest,
            ),
        )
    return request


def _run_worker(folder: Path, request: StepRequest) -> _Ending:
    lifeline, held = os.pipe()
    started = time.monotonic()
    for stale in (RESULT, FAILURE, TRACEBACK):
        (folder / stale).unlink(missing_ok=True)
    with (folder / WORKER_LOG).open("ab") as log:
        worker = subprocess.Popen(  # noqa: S603 - our own module, no shell
            worker_command(folder, lifeline),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=(lifeline,),
            start_new_session=True,
            env=pinned_environment(),
            cwd=folder,
        )
    os.close(lifeline)
    ending = _Ending()
    try:
        _watch(worker, folder, request, started, ending)
    finally:
        _end_tree(worker, ending.seen)
        os.close(held)
    ending.exit_status = worker.returncode
    ending.elapsed_s = time.monotonic() - started
    return ending


def _watch(
    worker: subprocess.Popen[bytes],
    folder: Path,
    request: StepRequest,
    started: float,
    ending: _Ending,
) -> None:
    """Return when the worker has ended by itself, or has to be ended."""
    signs_of_life = 0
    while worker.poll() is None:
        tree = _tree(worker.pid)
        ending.seen.update(tree)
        ending.peak_rss_bytes = max(ending.peak_rss_bytes, _rss(tree))
        if (time.monotonic() - started) // SIGN_OF_LIFE_S > signs_of_life:
            signs_of_life += 1
            os.utime(folder / "alive.lock")  # tells how long an attempt lived whose supervisor was killed
        if (folder / CANCEL).exists():
            ending.cancelled = True
            return
        if time.monotonic() - started > request.limits.runtime_s:
            limit = format_seconds(request.limits.runtime_s)
            ending.over = Failure(error=f"the run-time budget is used up: {limit} were left for it", transient=False)
            return
        if ending.peak_rss_bytes > request.limits.memory_bytes:
            used, limit = format_bytes(ending.peak_rss_bytes), format_bytes(request.limits.memory_bytes)
            ending.over = Failure(error=f"the memory budget was passed: {used} of {limit}", transient=False)
            return
        with suppress(subprocess.TimeoutExpired):
            worker.wait(POLL_S)


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


def _failure_of(folder: Path, ending: _Ending) -> Failure:
    try:
        return Failure.model_validate_json((folder / FAILURE).read_bytes())
    except (OSError, ValueError):
        status = ending.exit_status
        if status is not None and status < 0:
            return killed(signal.Signals(-status).name)
        return Failure(error=f"the worker ended with status {status} and left no report", transient=True)


def read_request(folder: Path) -> StepRequest:
    """Return the request of an attempt."""
    return StepRequest.model_validate_json((folder / REQUEST).read_bytes())
