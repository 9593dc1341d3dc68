"""See how the newest attempt of a run is getting on, and whether its supervisor still lives."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

from stagewright.state.attempts import PROGRESS, REQUEST
from stagewright.state.lock import is_alive
from stagewright.state.refusals import NextCall
from stagewright.state.run_directory import RunDirectory
from stagewright.state.run_state import RunState

__all__ = ["AttemptView", "after_loss", "age_at", "attempt_folder", "is_lost", "look_at_attempt"]

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
    folder = attempt_folder(run, state)
    elapsed_s = age_at(folder, time.time()) if state.attempt_open else None
    try:
        shown = json.loads((folder / PROGRESS).read_text(encoding="utf-8"))
        return AttemptView(int(shown["done"]), int(shown["total"]), shown["unit"], elapsed_s)
    except (OSError, ValueError, KeyError, TypeError):
        return AttemptView(elapsed_s=elapsed_s)


def is_lost(run: RunDirectory, state: RunState) -> bool:
    """Return whether the run says `running` but nobody holds the attempt's `alive.lock`."""
    return state.status == "running" and not is_alive(attempt_folder(run, state) / "alive.lock")


def after_loss(state: RunState) -> NextCall:
    """Return the call to make when the supervisor of the running attempt is gone."""
    why = f"records that attempt {state.attempt} was lost, and starts {state.step} again"
    return NextCall(tool="execute_stage", arguments={"run_id": state.run_id}, why=why)


def attempt_folder(run: RunDirectory, state: RunState) -> Path:
    """Return the folder of the newest attempt."""
    return run.attempt(state.attempt, state.step)


def age_at(folder: Path, until: float) -> float | None:
    """Return the seconds from the attempt's start to `until`."""
    try:
        began = (folder / REQUEST).stat().st_mtime
    except OSError:
        return None
    return round(max(0.0, until - began), 2)
