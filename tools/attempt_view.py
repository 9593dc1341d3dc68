"""See how the newest attempt of a run is getting on, and whether its supervisor still lives."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

from stagewright.stages.failure import Failure
from stagewright.stages.handlers import FailedCase, propose
from stagewright.stages.process_tree import end_leftovers
from stagewright.state.attempts import PROGRESS, REQUEST, WORKER_LOG, read_request, tail_lines
from stagewright.state.events import AttemptLost
from stagewright.state.lock import is_alive
from stagewright.state.records import Blocked, Limits
from stagewright.state.refusals import NextCall
from stagewright.state.run_directory import RunDirectory
from stagewright.state.run_state import RunState
from stagewright.state.sealed_spec import declared_spec

__all__ = ["AttemptView", "after_loss", "is_lost", "look_at_attempt", "lost_event"]

LAST_LINES = 12


@dataclass(frozen=True, slots=True)
class AttemptView:
    """Units done, of how many, the unit at work, and the seconds since the attempt began."""

    done: int = 0
    total: int = 0
    unit: str | None = None
    elapsed_s: float | None = None

    def said(self, step: str) -> str:
        """Return the view in a line."""
        at_work = "" if self.unit is None else f", at work: {self.unit}"
        return f"{step} is running: {self.done} of {self.total} units done{at_work}" if self.total else f"{step} starts"


def look_at_attempt(run: RunDirectory, state: RunState) -> AttemptView:
    """Return how the newest attempt is getting on, from its progress file."""
    if state.attempt == 0:
        return AttemptView()
    folder = _folder(run, state)
    elapsed_s = _age(folder, time.time()) if state.attempt_open else None
    try:
        shown = json.loads((folder / PROGRESS).read_text(encoding="utf-8"))
        return AttemptView(int(shown["done"]), int(shown["total"]), shown["unit"], elapsed_s)
    except (OSError, ValueError, KeyError, TypeError):
        return AttemptView(elapsed_s=elapsed_s)


def is_lost(run: RunDirectory, state: RunState) -> bool:
    """Return whether the run says `running` but nobody holds the attempt's `alive.lock`."""
    return state.status == "running" and not is_alive(_folder(run, state) / "alive.lock")


def after_loss(state: RunState) -> NextCall:
    """Return the call to make when the supervisor of the running attempt is gone."""
    why = f"records that attempt {state.attempt} was lost, and starts {state.step} again"
    return NextCall(tool="execute_stage", arguments={"run_id": state.run_id}, why=why)


def lost_event(run: RunDirectory, state: RunState, caps: Limits) -> AttemptLost:
    """Return the event that records a lost attempt; it blocks the step when no retry is left.

    What the attempt left running, on this machine, is ended first: the next one must be alone.

    Parameters
    ----------
    caps
        The operator's bounds.
    """
    folder = _folder(run, state)
    end_leftovers(folder)
    elapsed_s = (_age(folder, _last_sign(folder)) or 0.0) if state.attempt_open else 0.0
    error = f"attempt {state.attempt} was lost: its supervisor ended without an outcome (a kill, or loss of power)"
    blocked = None
    if state.tries + state.attempt_open > min(state.effective_limits.retries, caps.retries):
        failure = Failure(error=error, kind="lost")
        case = FailedCase(
            failure=failure,
            state=state,
            spec=state.adjustments.applied_to(declared_spec(run)),
            workers=read_request(folder).workers,
            limits=state.effective_limits,
            caps=caps,
            folder=folder,
        )
        blocked = Blocked(
            error=error,
            kind="lost",
            last_lines=tail_lines(folder / WORKER_LOG, LAST_LINES),
            proposals=propose(case),
        )
    return AttemptLost(
        message=error,
        step=state.step,
        actor="stagewright",
        attempt=state.attempt,
        elapsed_s=elapsed_s,
        blocked=blocked,
    )


def _folder(run: RunDirectory, state: RunState) -> Path:
    return run.attempt(state.attempt, state.step)


def _age(folder: Path, until: float) -> float | None:
    """Return the seconds from the attempt's start to `until`."""
    try:
        began = (folder / REQUEST).stat().st_mtime
    except OSError:
        return None
    return round(max(0.0, until - began), 2)


def _last_sign(folder: Path) -> float:
    """Return the time of the newest change in the attempt's folder; its supervisor touches `alive.lock` each second."""
    newest = folder.stat().st_mtime
    for name in (PROGRESS, WORKER_LOG, "alive.lock"):
        try:
            newest = max(newest, (folder / name).stat().st_mtime)
        except OSError:
            continue
    return newest
