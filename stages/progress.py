"""Progress of an attempt, in `progress.json`, for whoever waits: units done, of how many, and the one at work."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from stagewright.stages.workload import Workload
from stagewright.state.clock import stamp, utc_now
from stagewright.state.snapshot import write_atomically

__all__ = ["Progress"]

WRITE_EVERY_S = 0.2


class Progress:
    """Counts units of work and shows the count in a file.

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
        self._done: dict[str, float] = {}
        self._at_work: list[str] = []
        self._written = 0.0
        self._lock = threading.Lock()
        self._write(force=True)

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Count the `with` block as one unit; it may run on any thread."""
        started = time.perf_counter()
        with self._lock:
            self._at_work.append(name)
            self._write()
        try:
            yield
        finally:
            with self._lock:
                self._at_work.remove(name)
        with self._lock:
            self._done[name] = round(time.perf_counter() - started, 4)
            self._write(force=len(self._done) == self._total)

    def _write(self, *, force: bool = False) -> None:
        now = time.monotonic()
        if not force and now - self._written < WRITE_EVERY_S:
            return
        self._written = now
        shown = {
            "at": stamp(utc_now()),
            "done": len(self._done),
            "total": max(self._total, len(self._done)),
            "unit": self._at_work[-1] if self._at_work else None,
            **asdict(self._workload),
        }
        with suppress(OSError):  # progress is for people; a full disk shows where the results are written
            write_atomically(self._path, json.dumps(shown) + "\n")
