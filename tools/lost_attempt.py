"""Record that an attempt was lost, and leave nothing of it: no process, no half-published file, no staged one."""

from pathlib import Path

from pydantic import ValidationError

from stagewright.stages.failure import Failure
from stagewright.stages.handlers import FailedCase, propose
from stagewright.stages.process_tree import end_leftovers
from stagewright.state.attempts import PROGRESS, WORKER_LOG, discard_staging, read_request, seal_files, tail_lines
from stagewright.state.events import AttemptLost
from stagewright.state.ledger import Transition
from stagewright.state.publishing import withdraw
from stagewright.state.records import Blocked
from stagewright.state.sealed_spec import declared_spec
from stagewright.state.step_request import StepRequest
from stagewright.tools.attempt_view import age_at, attempt_folder
from stagewright.tools.budget import caps_of
from stagewright.tools.workspace import Workspace

__all__ = ["record_loss"]

LAST_LINES = 12
NO_OUTCOME = "its supervisor ended without an outcome (a kill, or loss of power)"


def record_loss(workspace: Workspace, transition: Transition, why: str = NO_OUTCOME) -> AttemptLost:
    """Commit that the running attempt was lost; it blocks the step when no retry is left.

    What the attempt left running on this machine is ended first: the next one must be alone. What it had published
    without the ledger knowing is taken back.

    Parameters
    ----------
    why
        What is known of how it was lost.
    """
    state = transition.state
    folder = attempt_folder(transition.run, state)
    end_leftovers(folder)
    withdraw(transition.run.path, folder)
    error = f"attempt {state.attempt} was lost: {why}"
    event = AttemptLost(
        message=error,
        step=state.step,
        actor="stagewright",
        attempt=state.attempt,
        elapsed_s=(age_at(folder, _last_sign(folder)) or 0.0) if state.attempt_open else 0.0,
        blocked=_blocked(workspace, transition, folder, error),
        files=seal_files(folder),
    )
    transition.commit(event)
    request = _request(folder)
    discard_staging(folder, workspace.policy.executor if request is None else request.executor)
    return event


def _blocked(workspace: Workspace, transition: Transition, folder: Path, error: str) -> Blocked | None:
    state, caps, request = transition.state, caps_of(workspace), _request(folder)
    if state.tries + state.attempt_open <= min(state.effective_limits.retries, caps.retries):
        return None
    case = FailedCase(
        failure=Failure(error=error, kind="lost"),
        state=state,
        spec=state.adjustments.applied_to(declared_spec(transition.run)),
        workers=1 if request is None else request.workers,
        limits=state.effective_limits,
        caps=caps,
        folder=folder,
    )
    last_lines = tail_lines(folder / WORKER_LOG, LAST_LINES)
    return Blocked(error=error, kind="lost", last_lines=last_lines, proposals=propose(case))


def _request(folder: Path) -> StepRequest | None:
    try:
        return read_request(folder)
    except (OSError, ValidationError):
        return None  # the folder was damaged or removed; `verify` says so


def _last_sign(folder: Path) -> float:
    """Return the time of the newest change in the attempt's folder; its supervisor touches `alive.lock` each second."""
    newest = 0.0
    for path in (folder, folder / PROGRESS, folder / WORKER_LOG, folder / "alive.lock"):
        try:
            newest = max(newest, path.stat().st_mtime)
        except OSError:
            continue
    return newest
