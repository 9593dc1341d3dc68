"""Progress of an attempt, in `progress.json`, for whoever waits: units done, of how many, and those at work."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from stagewright.stages.workload import Workload
from stagewright.state.attempt_progress import AttemptProgress, UnitAtWork
from stagewright.state.clock import stamp, utc_now
from stagewright.state.snapshot import write_atomically

__all__ = ["AtWork", "Progress"]

WRITE_EVERY_S = 0.5
SHOWN = 16


@dataclass(slots=True)
class AtWork:
    """A unit at work.

    Attributes
    ----------
    since
        Seconds since 1970.
    reused
        Whether its result was there already, so that its time says nothing about others.
    """

    name: str
    since: float
    parts_done: int = 0
    parts: int = 0
    reused: bool = False


class Progress:
    """Counts units of work and shows the count in a file, which is at most half a second behind.

    Parameters
    ----------
    path
        `progress.json` of the attempt.
    total
        How many units the stage has, as far as is known before it starts.
    workload
        How much data the stage has at hand, shown beside the count: a worker that is ended cannot report it any more.
    """

    def __init__(self, path: Path, total: int, workload: Workload | None = None) -> None:
        self._path = path
        self._total = total
        self._workload = workload or Workload()
        self._done = self._failed = 0
        self._ran = 0
        self._ran_s = 0.0
        self._side_by_side = 1
        self._at_work: list[AtWork] = []
        self._mine = threading.local()
        self._written = 0.0
        self._later: threading.Timer | None = None
        self._lock = threading.Lock()
        self._write()

    @contextmanager
    def measure(self, name: str) -> Iterator[AtWork]:
        """Count the `with` block as one unit; it may run on any thread."""
        started = time.perf_counter()
        unit = AtWork(name, time.time())
        outer: AtWork | None = getattr(self._mine, "unit", None)
        self._mine.unit = unit
        with self._lock:
            self._at_work.append(unit)
            self._side_by_side = max(self._side_by_side, len(self._at_work))
            self._changed()
        succeeded = False
        try:
            yield unit
            succeeded = True
        finally:
            self._mine.unit = outer
            with self._lock:
                self._at_work.remove(unit)
                self._done += succeeded
                self._failed += not succeeded
                if succeeded and not unit.reused:
                    self._ran += 1
                    self._ran_s += time.perf_counter() - started
                self._changed()

    def parts(self, count: int, rounds: int = 1) -> Callable[[], None]:
        """Say of how many parts this thread's unit consists, and return what to call, on any thread, when one is done.

        Parameters
        ----------
        count
            Parts that are about to begin.
        rounds
            How often the unit goes over as many, all in all.
        """
        unit: AtWork | None = getattr(self._mine, "unit", None)
        if unit is None:
            return lambda: None
        with self._lock:
            unit.parts = max(unit.parts, count * rounds, unit.parts_done + count)

        def one_done() -> None:
            with self._lock:
                unit.parts_done += 1
                self._changed()

        return one_done

    def close(self) -> None:
        """Show the last state."""
        with self._lock:
            self._write()

    def _changed(self) -> None:
        """Show what changed, now or when half a second has passed since the last time; the caller holds the lock."""
        due_s = self._written + WRITE_EVERY_S - time.monotonic()
        if due_s <= 0:
            self._write()
        elif self._later is None:
            self._later = threading.Timer(due_s, self._show_late)
            self._later.daemon = True
            self._later.start()

    def _show_late(self) -> None:
        with self._lock:
            if self._later is not None:  # else it was shown meanwhile
                self._write()

    def _write(self) -> None:
        if self._later is not None:
            self._later.cancel()
            self._later = None
        self._written = time.monotonic()
        shown = AttemptProgress(
            at=stamp(utc_now()),
            done=self._done,
            failed=self._failed,
            total=max(self._total, self._done + self._failed),
            unit=self._at_work[-1].name if self._at_work else None,
            at_work=tuple(
                UnitAtWork(name=unit.name, since=unit.since, parts_done=unit.parts_done, parts=unit.parts)
                for unit in self._at_work[-SHOWN:]
            ),
            unit_s=self._ran_s / self._ran if self._ran else None,
            side_by_side=self._side_by_side,
            **asdict(self._workload),
        )
        with suppress(OSError):  # progress is for people; a full disk shows where the results are written
            write_atomically(self._path, shown.model_dump_json() + "\n")
