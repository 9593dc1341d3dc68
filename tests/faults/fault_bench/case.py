"""One case: a root of its own, the plan of what happens to it, and the processes that belong to it."""

import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from stagewright.state.run_directory import LOG_NAMES, RunDirectory, list_runs

__all__ = ["Case", "Point"]


@dataclass(frozen=True, slots=True)
class Point:
    """A point at which a process of the case is killed, and when: before it, in the middle of it, or after it."""

    name: str
    when: str

    def __str__(self) -> str:
        """Return what a failure names."""
        return f"{self.when} {self.name}"


class Case:
    """A folder with a `root` in it, and beside the root what the test itself keeps.

    Parameters
    ----------
    folder
        Made by the case; ended by `remove`.
    template
        A root to begin with.
    """

    def __init__(self, folder: Path, template: Path) -> None:
        self.folder = folder
        self.root = folder / "root"
        self._template = template
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copytree(template, self.root, symlinks=True, dirs_exist_ok=True)

    @property
    def run(self) -> RunDirectory:
        """The newest run under the root."""
        return next(list_runs(self.root))

    @property
    def runs(self) -> list[RunDirectory]:
        """All runs under the root, newest first."""
        return list(list_runs(self.root))

    @property
    def recorded(self) -> Path:
        """Where a recording puts its points."""
        return self.folder / "points.txt"

    def plan(self, **what: object) -> Path:
        """Write a fault plan and return its file."""
        path = self.folder / "plan.json"
        path.write_text(json.dumps({"root": str(self.root)} | what))
        return path

    def plan_record(self) -> Path:
        """Return a plan that records every point."""
        return self.plan(record=str(self.recorded))

    def plan_kills(self, points: Sequence[Point]) -> Path:
        """Return a plan that kills whoever comes to one of these points first."""
        kills = [
            {"point": point.name, "when": point.when, "marker": str(self.marker(number))}
            for number, point in enumerate(points)
        ]
        return self.plan(kills=kills)

    def plan_full(self, point: str) -> Path:
        """Return a plan by which the disk is full from a point on until `freed`."""
        return self.plan(full={"point": point, "since": str(self.full), "freed": str(self.freed)})

    @property
    def full(self) -> Path:
        """The file that shows that the disk is full, under a plan that fills it."""
        return self.folder / "full"

    @property
    def freed(self) -> Path:
        """The file that ends that."""
        return self.folder / "freed"

    def marker(self, number: int = 0) -> Path:
        """Return the file that shows that a kill of the plan fired."""
        return self.folder / f"fired-{number}"

    def acknowledged(self) -> dict[str, bytes]:
        """Return what stands on the disk of each log, up to the last line feed."""
        found: dict[str, bytes] = {}
        for run in self.runs:
            for name in LOG_NAMES:
                text = run.log(name).read_bytes() if run.log(name).exists() else b""
                found[f"{run.run_id}/{name}"] = text[: text.rfind(b"\n") + 1]
        return found

    def processes(self) -> list[psutil.Process]:
        """Return the living processes of this case, whatever they have become: they inherit its name."""
        found = []
        for process in psutil.process_iter(["status"]):
            try:
                mine = process.environ().get("FAULT_CASE") == str(self.folder)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
            if mine and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(process)
        return found

    def await_kill(self, within_s: float = 10.0) -> None:
        """Wait until the kill has come, or until no process is left to which it could."""
        deadline = time.monotonic() + within_s
        while not self.marker().exists() and self.processes() and time.monotonic() < deadline:
            time.sleep(0.02)

    def processes_left(self, within_s: float = 6.0) -> list[str]:
        """Return the command lines of the processes that have not ended in time."""
        deadline = time.monotonic() + within_s
        while (left := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.02)
        return [_said(process) for process in left]

    def remove(self) -> None:
        """End what is left of the case and remove its folder."""
        for process in self.processes():
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        shutil.rmtree(self.folder, ignore_errors=True)


def _said(process: psutil.Process) -> str:
    try:
        return f"{process.pid}: {' '.join(process.cmdline())}"
    except psutil.NoSuchProcess:
        return f"{process.pid}: ended just now"
