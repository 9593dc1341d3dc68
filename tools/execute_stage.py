"""Execute exactly the next step of a run, or attach to it while it runs."""

import time
from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from stagewright.stages.failure import Failure
from stagewright.stages.handlers import FailedCase, propose
from stagewright.stages.worker_command import worker_command
from stagewright.state.artifacts import read_outcome
from stagewright.state.attempts import open_attempt
from stagewright.state.events import AttemptStarted, StepBlocked
from stagewright.state.ledger import Ledger, Transition
from stagewright.state.lock import hold_alive
from stagewright.state.records import Blocked, Limits
from stagewright.state.run_directory import RunDirectory
from stagewright.state.run_state import RunState, next_call
from stagewright.state.sealed_spec import declared_spec
from stagewright.state.units import format_bytes, format_seconds
from stagewright.tools.attempt_view import AttemptView, after_loss, is_lost, look_at_attempt, wait_for_tidying
from stagewright.tools.blocked_view import shown_blocked
from stagewright.tools.budget import budget_of, caps_of, limits_left
from stagewright.tools.close_fd import closing_fd
from stagewright.tools.lost_attempt import record_loss
from stagewright.tools.other_trials import newly_tried
from stagewright.tools.replies import ExecuteReply, Tick
from stagewright.tools.step_requests import request_for
from stagewright.tools.workspace import Workspace, not_allowed

__all__ = ["execute_stage"]

DEFAULT_WAIT_S = 45.0
MAX_WAIT_S = 3600.0
SHOWN_METRICS = 16


def execute_stage(
    workspace: Workspace,
    run_id: Annotated[str, Field(description="From plan_run or read_state; a unique prefix will do")],
    *,
    wait_s: Annotated[
        float,
        Field(ge=0, le=MAX_WAIT_S, description="Answer after at most so many seconds; the stage goes on by itself"),
    ] = DEFAULT_WAIT_S,
) -> Iterator[Tick | ExecuteReply]:
    """Start the step that is ready, or attach to the one that runs, and wait for at most `wait_s` seconds.

    The stage runs detached: ending the wait, or the server, does not end it.

    Parameters
    ----------
    run_id
        The run.
    wait_s
        How long to wait before answering `running` with the progress so far, in seconds.

    Yields
    ------
    Signs of life while the stage runs, then an `ExecuteReply`.

    Raises
    ------
    Refusal
        `not_allowed_now` when no step is ready or running; `run_locked`; `unknown_run`.
    """
    ledger = workspace.ledger(run_id)
    notes = _start_or_attach(workspace, ledger)
    deadline = time.monotonic() + wait_s
    while True:
        head, state = ledger.log.head(), ledger.read()
        view = look_at_attempt(ledger.run, state)
        lost = is_lost(ledger.run, state)
        if lost and ledger.log.head() != head:
            continue  # it committed and ended between the two looks
        if state.status != "running" or lost or time.monotonic() >= deadline:
            if state.status != "running":
                wait_for_tidying(ledger.run, state)
            yield _reply(workspace, ledger.run, state, view, notes, lost=lost)
            return
        yield view.tick(view.said(state.step))


def _start_or_attach(workspace: Workspace, ledger: Ledger) -> list[str]:
    """Bring the run to `running` or `blocked` under its lock; return what a reader should know of it."""
    notes: list[str] = []
    with ledger.transition() as transition:
        if transition.state.status == "running":
            if not is_lost(ledger.run, transition.state):
                return ["attached to the running attempt; nothing was started"]
            notes.append(record_loss(workspace, transition).message)
        if transition.state.status == "blocked" and notes:
            return notes
        if transition.state.status != "planned":
            raise not_allowed(transition.state, _why_not(transition.state))
        left = limits_left(workspace, transition.state)
        if left.runtime_s <= 0:
            _block_for_budget(workspace, transition)
            return notes
        notes += _start(workspace, ledger, transition, left)
    return notes


def _why_not(state: RunState) -> str:
    match state.status:
        case "executed":
            return f"{state.step} was executed already (attempt {state.attempt}) and waits for its gates."
        case "validated":
            return f"{state.step} was executed and validated with verdict {state.verdict}; it waits for a decision."
        case "blocked":
            error = state.blocked.error if state.blocked else "unknown"
            return f"{state.step} is blocked: {error}. It opens again by an adjustment."
        case "awaiting_approval":
            return f"{state.step} opens only when a person approves."
        case _:
            return f"the run is {state.status}; its record is closed and nothing can be executed."


def _block_for_budget(workspace: Workspace, transition: Transition) -> None:
    state, caps = transition.state, caps_of(workspace)
    limits = state.effective_limits
    error = (
        f"the run-time budget is used up: {format_seconds(state.runtime_used_s)} used of "
        f"{format_seconds(min(limits.runtime_s, caps.runtime_s))}"
    )
    case = FailedCase(
        failure=Failure(error=error, kind="runtime_budget"),
        state=state,
        spec=state.adjustments.applied_to(declared_spec(transition.run)),
        workers=1,
        limits=limits,
        caps=caps,
    )
    blocked = Blocked(error=error, kind="runtime_budget", proposals=propose(case))
    transition.commit(StepBlocked(message=f"{state.step} cannot start: {error}", step=state.step, blocked=blocked))


def _start(workspace: Workspace, ledger: Ledger, transition: Transition, left: Limits) -> list[str]:
    """Open the next attempt and start its supervisor; return what a reader should know of it."""
    request = request_for(workspace, ledger.run, transition.state, left)
    folder, digest = open_attempt(ledger.run, request)
    with closing_fd(hold_alive(folder / "alive.lock")) as alive:
        transition.commit(
            AttemptStarted(
                message=f"{request.step} attempt {request.attempt} started",
                step=request.step,
                actor=workspace.actor,
                attempt=request.attempt,
                directory=folder.relative_to(ledger.run.path).as_posix(),
                command=tuple(worker_command(folder)),
                request_sha256=digest,
                executor=workspace.children.stands_in or request.executor.said,
                tried_before=newly_tried(workspace, ledger.run, transition.state),
            ),
        )
        try:
            workspace.children.start_supervisor(folder, alive)
        except OSError as error:  # no process to be had: the attempt is over before it began, and the record says so
            lost = record_loss(workspace, transition, f"its supervisor did not start: {error}")
            return [lost.message]
    return []


def _reply(
    workspace: Workspace, run: RunDirectory, state: RunState, view: AttemptView, notes: list[str], *, lost: bool
) -> ExecuteReply:
    reply = ExecuteReply(
        run_id=state.run_id,
        step=state.step,
        status=state.status,
        summary="",
        next=next_call(state),
        attempt=state.attempt,
        done=view.done,
        total=view.total,
        unit=view.unit,
        elapsed_s=view.elapsed_s,
        left_s=view.left_s if state.status == "running" else None,
        notes=notes,
        blocked=None if state.blocked is None else shown_blocked(state.blocked),
        budget=budget_of(workspace, state),
    )
    if lost:
        summary = f"{state.step}: the supervisor of attempt {state.attempt} is gone; call execute_stage to go on."
        return reply.model_copy(update={"summary": summary, "next": after_loss(state)})
    if state.status == "running":
        summary = f"{view.said(state.step)}, attempt {state.attempt}. It goes on by itself; call again to wait."
        return reply.model_copy(update={"summary": summary})
    if state.status == "executed":
        return _executed(run, state, reply)
    if state.status == "blocked" and state.blocked is not None:
        return reply.model_copy(update={"summary": f"{state.step} is blocked: {state.blocked.error}"})
    return reply.model_copy(update={"summary": f"the run is {state.status} at {state.step}"})


def _executed(run: RunDirectory, state: RunState, reply: ExecuteReply) -> ExecuteReply:
    sealed = state.sealed[state.step]
    shown = dict(sorted(sealed.metrics.items(), key=lambda item: (".best." not in item[0], item[0]))[:SHOWN_METRICS])
    notes = [*reply.notes]
    try:
        outcome = read_outcome(run.path, sealed.artifacts)
        notes += outcome.notes[:4]
        if outcome.skipped:
            patients = sorted({item.patient for item in outcome.skipped})
            notes.append(f"without a result, with the reason in outcome.json: {', '.join(patients)}")
    except ValueError as error:
        notes.append(str(error))
    if len(sealed.metrics) > len(shown):
        notes.append(f"{len(sealed.metrics)} metrics in all: read_state(view='metrics')")
    summary = (
        f"{state.step} executed in {format_seconds(sealed.elapsed_s)}, peak {format_bytes(sealed.peak_rss_bytes)}; "
        f"{sealed.artifacts.count} artifacts sealed."
    )
    return reply.model_copy(
        update={
            "summary": summary,
            "elapsed_s": sealed.elapsed_s,
            "peak_rss_bytes": sealed.peak_rss_bytes,
            "n_artifacts": sealed.artifacts.count,
            "metrics": {name: round(value, 4) for name, value in shown.items()},
            "k_by_method": state.k_by_method,
            "notes": notes,
        },
    )
