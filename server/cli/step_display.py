"""A progress bar for each step that runs: units done, of how many, and the one at work. Only on a terminal."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from stagewright.tools.replies import Tick

__all__ = ["StepDisplay"]


class StepDisplay:
    """Shows the ticks of a waiting call on a console; shows nothing where that is no terminal."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        """Start to show."""
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the bar away; what stays is printed as a line."""
        self._progress.stop()

    def tick(self, tick: Tick) -> None:
        """Show one sign of life."""
        if self._task is None:
            self._task = self._progress.add_task("", total=None)
        done = 0 if tick.total is None else int(tick.done)  # without a total the ticks count seconds, not units
        self._progress.update(self._task, completed=done, total=tick.total, description=_short(tick.message))


def _short(message: str) -> str:
    """Return a tick's message without the counts that the bar shows.

    >>> _short("A/plan0 is running: 3 of 21 units done, at work: nmf/k_20/seed_1")
    'A/plan0: nmf/k_20/seed_1'
    """
    step, running, rest = message.partition(" is running: ")
    unit = rest.partition("at work: ")[2]
    return message if not running else f"{step}: {unit}" if unit else step
