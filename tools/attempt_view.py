"""See how the newest attempt of a run is getting on, and whether its supervisor still lives."""

import time
from dataclasses import dataclass
from pathlib import Path

from stagewright.state.attempt_progress import AttemptProgress
from stagewright.state.attempts import PROGRESS, REQUEST
from stagewright.state.lock import is_alive
from stagewright.state.refusals import NextCall
from stagewright.state.run_directory import RunDirectory
from stagewright.state.run_state import RunState
from stagewright.tools.replies import Tick

__all__ = [
    "AttemptView",
    "after_loss",
    "age_at",
    "attempt_folder",
    "is_lost",
    "look_at_attempt",
    "wait_for_tidying",
    "why_after_loss",
]

LAST_LINES = 12
TIDYING_S = 0.5
POLL_S = 0.01


@dataclass(frozen=True, slots=True)
class AttemptView:
    """How an attempt is getting on, as seen at `now` (seconds since 1970), and the seconds since it began."""

    progress: AttemptProgress | None = None
    now: float = 0.0
    elapsed_s: float | None = None

    @property
    def done(self) -> int:
        """Units done."""
        return 0 if self.progress is None else self.progress.done

    @property
    def total(self) -> int:
        """Units in all, as far as is known."""
        return 0 if self.progress is None else self.progress.total

    @property
    def unit(self) -> str | None:
        """The unit that began last."""
        return None if self.progress is None else self.progress.unit

    @property
    def left_s(self) -> float | None:
        """About how long the rest takes, in seconds, where that can be told."""
        left_s = None if self.progress is None else self.progress.left_s(self.now)
        return None if left_s is None else round(left_s, 1)

    def said(self, step: str) -> str:
        """Return the view in a line."""
        return (
            f"{step} is running: {self.progress.said(self.now)}" if self.progress and self.total else f"{step} starts"
        )

    def tick(self, message: str) -> Tick:
        """Return a sign of life that counts the units done with the shares of those at work."""
        done = 0.0 if self.progress is None else self.progress.units_done(self.now)
        return Tick(done=round(done, 4), total=float(self.total) if self.total else None, message=message)


def look_at_attempt(run: RunDirectory, state: RunState) -> AttemptView:
    """Return how the newest attempt is getting on, from its progress file."""
    if state.attempt == 0:
        return AttemptView()
    folder, now = attempt_folder(run, state), time.time()
    elapsed_s = age_at(folder, now) if state.attempt_open else None
    try:
        return AttemptView(AttemptProgress.model_validate_json((folder / PROGRESS).read_bytes()), now, elapsed_s)
    except (OSError, ValueError):
        return AttemptView(now=now, elapsed_s=elapsed_s)


def is_lost(run: RunDirectory, state: RunState) -> bool:
    """Return whether the run says `running` but nobody holds the attempt's `alive.lock`."""
    return state.status == "running" and not is_alive(attempt_folder(run, state) / "alive.lock")


def wait_for_tidying(run: RunDirectory, state: RunState) -> None:
    """Wait a moment for the supervisor of an attempt that ended: it removes what is left and writes the manifest.

    So whoever is told of the end finds the run directory at rest, and may copy it.
    """
    deadline = time.monotonic() + TIDYING_S
    alive = attempt_folder(run, state) / "alive.lock"
    while state.attempt and is_alive(alive) and time.monotonic() < deadline:
        time.sleep(POLL_S)


def after_loss(state: RunState) -> NextCall:
    """Return the call to make when the supervisor of the running attempt is gone."""
    why = why_after_loss(state.attempt, state.step)
    return NextCall(tool="execute_stage", arguments={"run_id": state.run_id}, why=why)


def why_after_loss(attempt: int, step: str) -> str:
    """Return why the call after a loss is the one to make."""
    return f"records that attempt {attempt} was lost, and starts {step} again"


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
