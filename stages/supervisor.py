"""The supervisor: sees one step's attempts through to the ledger, whatever becomes of the server that started it.

It holds the attempt's `alive.lock`, starts the worker in a process group of its own, watches wall-clock time, output
and the memory of the whole process tree, ends the tree when a limit is passed or the run was stopped, publishes the
artifacts and commits the outcome. A failure that may pass is tried again with back-off while the step has retries left.
"""

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import stamina

from stagewright.stages.back_off import wait_until_stopped, with_jitter
from stagewright.stages.failed_attempt import blocked_by, finished
from stagewright.stages.failure import Failure, killed
from stagewright.stages.failure_table import FAILURES, kind_of
from stagewright.stages.stop_heard import StopHeard
from stagewright.stages.worker_command import NO_REPORT, worker_command
from stagewright.stages.worker_process import WorkerEnding, run_worker
from stagewright.state.artifacts import Outcome, read_outcome
from stagewright.state.attempts import FAILURE, RESULT, UNITS, discard_staging, open_attempt
from stagewright.state.canonical import digest_file
from stagewright.state.events import AttemptStarted
from stagewright.state.ledger import Ledger, Transition
from stagewright.state.lock import hold_alive
from stagewright.state.publishing import publish, withdraw
from stagewright.state.records import UnitTally
from stagewright.state.refresh_manifest import refresh_manifest
from stagewright.state.run_directory import RunDirectory
from stagewright.state.run_state import RunState, split_step
from stagewright.state.step_request import StepRequest
from stagewright.state.units import format_bytes, format_seconds

__all__ = ["Ways", "supervise"]

COMMIT_WAIT_S = 600.0
DISK_PATIENCE_S = 300.0
"""How long a finished attempt waits for a disk that refuses to take its outcome."""


class _TryAgain(Exception):  # noqa: N818 - not an error: it tells stamina to go on
    """The attempt failed in a way that another may not, and the back-off is over."""


@dataclass(frozen=True, slots=True)
class Ways:
    """How a worker is run and how a back-off is waited for; `executor` is what the ledger says instead of its own."""

    run: Callable[[Path, StepRequest, Callable[[], bool]], WorkerEnding] = run_worker
    wait: Callable[[Callable[[], bool], float], bool] = wait_until_stopped
    executor: str | None = None


def supervise(run: RunDirectory, request: StepRequest, by: Ways | None = None) -> None:
    """See a started attempt through, and its retries; every ending is in the ledger before this returns.

    The caller has committed `attempt_started` and holds the attempt's `alive.lock` for this process.

    Parameters
    ----------
    by
        How a worker is run and a back-off is waited for, where not by processes and clocks of this machine.
    """
    by = by or Ways()
    ledger, stopped = Ledger(run), StopHeard(Ledger(run))
    current = request
    tries = stamina.retry_context(
        on=lambda error: 0.0 if isinstance(error, _TryAgain) else False,  # waited already, where a stop is heard
        attempts=request.limits.retries + 1,
        timeout=None,
        wait_initial=0.5,
        wait_max=30.0,
        wait_jitter=0.0,
    )
    for one in tries:
        with one:
            retry_in_s = _attempt(ledger, current, with_jitter(one.next_wait), stopped, by)
            if retry_in_s is None or by.wait(stopped, retry_in_s):
                return
            retry = _open_retry(ledger, current, by.executor)
            if retry is None:
                return
            current = retry
            raise _TryAgain


def _attempt(
    ledger: Ledger, request: StepRequest, back_off_s: float, stopped: Callable[[], bool], by: Ways
) -> float | None:
    """Run one attempt and commit how it ended; return the seconds to the next one, None when there is none."""
    folder = ledger.run.attempt(request.attempt, request.step)
    ending = by.run(folder, request, stopped)
    for one in _while_the_disk_refuses():
        with one, ledger.transition(wait_s=COMMIT_WAIT_S) as transition:
            retry_in_s = _settle(transition, ledger.run, request, ending, back_off_s)
            refresh_manifest(ledger.run, transition.state)
            return retry_in_s
    raise RuntimeError("stamina gives at least one try")


def _while_the_disk_refuses() -> Iterator[stamina.Attempt]:
    """Give tries until the disk, or whoever holds a log, lets the act through, or for as long as patience lasts."""
    return iter(
        stamina.retry_context(
            on=lambda error: isinstance(error, OSError) and FAILURES[kind_of(error)].transient,
            attempts=None,
            timeout=DISK_PATIENCE_S,
            wait_initial=0.2,
            wait_max=10.0,
        ),
    )


def _settle(
    transition: Transition, run: RunDirectory, request: StepRequest, ending: WorkerEnding, back_off_s: float
) -> float | None:
    state, folder = transition.state, run.attempt(request.attempt, request.step)
    if state.status == "stopped":
        withdraw(run.path, folder)
        transition.commit(finished(folder, request, ending, "cancelled", "cancelled: the run was stopped"))
        discard_staging(folder, request.executor)
        return None
    if ending.exit_status == 0 and ending.over is None:
        failure = _publish(transition, run, folder, request, ending)
        if failure is None:
            return None
    else:
        failure = ending.over or _failure_of(folder, ending)
    withdraw(run.path, folder)
    retrying = failure.may_retry(state.failed_as, request.limits.retries)
    retrying = retrying and _left_s(request, state) > ending.elapsed_s
    blocked = blocked_by(failure, run, request, ending, state)
    again = f"; tried again in {format_seconds(back_off_s)}" if retrying else ""
    event = finished(folder, request, ending, "failed", f"failed: {blocked.error} [{failure.kind}]{again}")
    then = {"retry_in_s": round(back_off_s, 3)} if retrying else {"blocked": blocked}
    update = {"failure": failure.kind, "transient": failure.transient, "will_retry": retrying, **then}
    sealed = {"units_sha256": digest_file(folder / UNITS)} if (folder / UNITS).is_file() else {}
    transition.commit(event.model_copy(update=update | sealed))
    discard_staging(folder, request.executor)
    return back_off_s if retrying else None


def _publish(
    transition: Transition,
    run: RunDirectory,
    folder: Path,
    request: StepRequest,
    ending: WorkerEnding,
) -> Failure | None:
    """Publish and commit an attempt that ended well; return the failure if its report cannot be used.

    Raises
    ------
    OSError
        When the disk refuses. Called again, publishing goes on where it was.
    """
    try:
        outcome = Outcome.model_validate_json((folder / RESULT).read_bytes())
        others = [sealed for step, sealed in transition.state.sealed.items() if _is_beside(step, request.step)]
        kept = [item.path for sealed in others for item in read_outcome(run.path, sealed.artifacts).artifacts]
        sealed = publish(run.path, folder, outcome, kept=kept)
    except (FileNotFoundError, ValueError) as error:
        return Failure(error=f"the results could not be published: {error}", kind="bug")
    tally = UnitTally(
        ran=sum(unit.how == "ran" for unit in outcome.units),
        reused=sum(unit.how == "reused" for unit in outcome.units),
        failed=sum(unit.how == "failed" for unit in outcome.units),
    )
    reused = f", {tally.reused} of {len(outcome.units)} units reused" if tally.reused else ""
    failed = f", {tally.failed} units failed as the spec allows" if tally.failed else ""
    what = f"executed; {sealed.count} artifacts, {format_bytes(sealed.bytes)}{reused}{failed}"
    transition.commit(
        finished(folder, request, ending, "executed", what).model_copy(
            update={
                "artifacts": sealed,
                "metrics": outcome.metrics,
                "k_by_method": outcome.k_by_method,
                "k_shortlist": outcome.k_shortlist,
                "configurations": outcome.configurations,
                "units": tally,
            },
        ),
    )
    (folder / RESULT).unlink(missing_ok=True)  # outcome.json says the same, and is what the ledger seals
    return None


def _is_beside(step: str, other: str) -> bool:
    return step != other and split_step(step)[0] == split_step(other)[0]


def _open_retry(ledger: Ledger, failed: StepRequest, executor: str | None) -> StepRequest | None:
    """Open the next attempt at the same step and return its request; None when the run was stopped meanwhile."""
    for one in _while_the_disk_refuses():
        with one, ledger.transition(wait_s=COMMIT_WAIT_S) as transition:
            if transition.state.status != "running":
                return None
            request = _retry_of(failed, transition.state)
            folder, digest = open_attempt(ledger.run, request)
            alive = hold_alive(folder / "alive.lock")  # held until this process ends
            try:
                transition.commit(_started(ledger.run, request, failed, digest, executor or request.executor.said))
            except OSError:
                os.close(alive)
                raise
            return request
    raise RuntimeError("stamina gives at least one try")


def _left_s(request: StepRequest, state: RunState) -> float:
    """Return the seconds that the run may still use, under its budget and the operator's cap."""
    return min(state.effective_limits.runtime_s, request.caps.runtime_s) - state.runtime_used_s


def _retry_of(failed: StepRequest, state: RunState) -> StepRequest:
    # Results do not depend on the number of workers, memory does.
    workers = max(1, failed.workers // 2) if state.failed_as[-1:] == ("out_of_memory",) else failed.workers
    limits = failed.limits.model_copy(update={"runtime_s": _left_s(failed, state)})
    return failed.model_copy(update={"attempt": failed.attempt + 1, "limits": limits, "workers": workers})


def _started(
    run: RunDirectory, request: StepRequest, failed: StepRequest, digest: str, executor: str
) -> AttemptStarted:
    folder = run.attempt(request.attempt, request.step)
    fewer = "" if request.workers == failed.workers else f", {request.workers} units side by side, not {failed.workers}"
    return AttemptStarted(
        message=f"{request.step} attempt {request.attempt} started (a retry{fewer})",
        step=request.step,
        actor="supervisor",
        attempt=request.attempt,
        directory=folder.relative_to(run.path).as_posix(),
        command=tuple(worker_command(folder)),
        request_sha256=digest,
        executor=executor,
    )


def _failure_of(folder: Path, ending: WorkerEnding) -> Failure:
    try:
        return Failure.model_validate_json((folder / FAILURE).read_bytes())
    except (OSError, ValueError):
        status = ending.exit_status
        if status is not None and status < 0:
            return killed(signal.Signals(-status).name)
        if status == NO_REPORT:
            return Failure(error="the disk took neither the worker's results nor its report", kind="disk_full")
        return Failure(error=f"the worker ended with status {status} and left no report", kind="killed")
