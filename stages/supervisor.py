"""The supervisor: sees one step's attempts through to the ledger, whatever becomes of the server that started it.

It holds the attempt's `alive.lock`, starts the worker in a process group of its own, watches wall-clock time and the
memory of the whole process tree, ends the tree when a limit is passed or the run was stopped, publishes the artifacts
and commits the outcome. A transient failure is tried again with back-off while the step has retries left.
"""

import signal
from pathlib import Path

import stamina

from stagewright.stages.failure import Failure, killed
from stagewright.stages.proposals import propose, propose_more_budget
from stagewright.stages.worker_command import worker_command
from stagewright.stages.worker_process import WorkerEnding, run_worker
from stagewright.state.artifacts import Outcome, publish, read_outcome
from stagewright.state.attempts import FAILURE, RESULT, TRACEBACK, WORKER_LOG, open_attempt, tail_lines
from stagewright.state.canonical import digest_file
from stagewright.state.events import AttemptFinished, AttemptStarted
from stagewright.state.ledger import Ledger, Transition
from stagewright.state.lock import hold_alive
from stagewright.state.records import Blocked, Proposal
from stagewright.state.run_directory import RunDirectory
from stagewright.state.run_state import RunState, split_step
from stagewright.state.spec import effective_study, load_spec
from stagewright.state.step_request import StepRequest
from stagewright.state.units import format_bytes, format_seconds

__all__ = ["supervise"]

COMMIT_WAIT_S = 600.0
LAST_LINES = 12
ERROR_CHARS = 600


class _TryAgain(Exception):  # noqa: N818 - not an error: it tells stamina to wait and go on
    """The attempt failed in a way that another may not, and the step has retries left."""


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
    current = request
    for one in tries:
        with one:
            if one.num > 1:
                retry = _open_retry(ledger, current)
                if retry is None:
                    return
                current = retry
            _attempt(ledger, current)


def _attempt(ledger: Ledger, request: StepRequest) -> None:
    folder = ledger.run.attempt(request.attempt, request.step)
    ending = run_worker(folder, request)
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
        _commit_failure(transition, ledger.run, request, ending, failure, retrying=retrying)
    if retrying:
        raise _TryAgain


def _publish(
    transition: Transition,
    run: RunDirectory,
    folder: Path,
    request: StepRequest,
    ending: WorkerEnding,
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
    run: RunDirectory,
    request: StepRequest,
    ending: WorkerEnding,
    failure: Failure,
    *,
    retrying: bool,
) -> None:
    folder = run.attempt(request.attempt, request.step)
    error = failure.error if len(failure.error) <= ERROR_CHARS else failure.error[:ERROR_CHARS] + "..."
    event = _finished(request, ending, "failed", f"failed: {error}")
    trace = folder / TRACEBACK  # the error in full
    blocked = Blocked(
        error=error,
        traceback=trace.relative_to(run.path).as_posix() if trace.exists() else None,
        last_lines=tail_lines(folder / WORKER_LOG, LAST_LINES),
        proposals=_proposals(failure, _with_whole_grid(run, request, transition.state), ending, transition.state),
    )
    update = {"transient": failure.transient, "will_retry": retrying, "blocked": None if retrying else blocked}
    transition.commit(event.model_copy(update=update))


def _proposals(failure: Failure, request: StepRequest, ending: WorkerEnding, state: RunState) -> tuple[Proposal, ...]:
    used_s = state.runtime_used_s + ending.elapsed_s
    short = {
        "runtime": ending.elapsed_s >= request.limits.runtime_s,
        "memory": ending.peak_rss_bytes > request.limits.memory_bytes,
    }
    more = propose_more_budget(state.effective_limits, used_s, request.caps.runtime_s, request.caps.memory_bytes)
    needed = [proposal for proposal in more if any(short[name] for name in proposal.adjustments)]
    return (*needed, *propose(failure, request))


def _with_whole_grid(run: RunDirectory, request: StepRequest, state: RunState) -> StepRequest:
    """Return the request with the grid of all checkpoints: an adjustment holds for those to come as well.

    A smoke run sweeps two K of each method; leaving out one of them must not leave out those that it never tried.
    """
    if not run.spec.is_file() or digest_file(run.spec) != state.spec_sha256:
        return request  # the run does not go on until what was sealed is restored
    whole = load_spec(run.spec).model_copy(update={"checkpoints": {}})
    return request.model_copy(update={"study": effective_study(whole, state.adjustments, "C")})


def _finished(request: StepRequest, ending: WorkerEnding, outcome: str, what: str) -> AttemptFinished:
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


def _failure_of(folder: Path, ending: WorkerEnding) -> Failure:
    try:
        return Failure.model_validate_json((folder / FAILURE).read_bytes())
    except (OSError, ValueError):
        status = ending.exit_status
        if status is not None and status < 0:
            return killed(signal.Signals(-status).name)
        return Failure(error=f"the worker ended with status {status} and left no report", transient=True)
