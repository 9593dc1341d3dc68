"""What happens at a point: it is written down, the process is killed there, or the disk is full from there on."""

import errno
import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from os import fsdecode
from os import open as real_open
from os import write as real_write
from typing import TypeVar

from point_names import role_of_file

__all__ = ["FaultGate", "Plan", "read_plan"]

Result = TypeVar("Result")


class Plan:
    """What is to happen to the processes of one test.

    Attributes
    ----------
    root
        Only what is written under this folder has points.
    record
        A file, outside the root, to which every point is appended as it is passed.
    kills
        Points with `when` (``before``, ``torn`` or ``after``) and a `marker`, a file outside the root: whoever makes
        it is killed, so that the process which tries again is not.
    full
        The point from which on the disk is full (``*`` is every point), a file `since` that shows it to the other
        processes, and a file `freed` that ends it.
    """

    def __init__(self, content: dict[str, object]) -> None:
        self.root = os.path.realpath(str(content["root"]))
        self.record = content.get("record")
        kills = content.get("kills")
        self.kills: dict[tuple[str, str], str] = {}
        for kill in kills if isinstance(kills, list) else []:
            self.kills[kill["point"], kill["when"]] = kill["marker"]
        full = content.get("full")
        self.full: dict[str, str] = full if isinstance(full, dict) else {}


def read_plan(path: str) -> Plan:
    """Read a plan from its file."""
    fd = real_open(path, os.O_RDONLY)
    try:
        return Plan(json.loads(os.read(fd, 1 << 20)))
    finally:
        os.close(fd)


class FaultGate:
    """Stands around every change of the disk that a process makes under the root.

    Parameters
    ----------
    plan
        What is to happen.
    role
        The process's role in the tree.
    """

    def __init__(self, plan: Plan, role: str) -> None:
        self.plan = plan
        self.role = role
        self._passed: Counter[str] = Counter()
        self._lock = threading.Lock()

    def at_path(
        self,
        operation: str,
        path: str,
        act: Callable[[], Result],
        *,
        torn: Callable[[], object] | None = None,
        grows: bool = False,
    ) -> Result:
        """Do one change of the disk, or what the plan says instead.

        Parameters
        ----------
        operation
            The system call's name.
        path
            Absolute. What lies outside the root is done without more ado.
        act
            Does it.
        torn
            Does half of it, where that can be.
        grows
            Whether a full disk refuses it.
        """
        if not path.startswith(self.plan.root + os.sep):
            return act()
        return self.at_point(operation, role_of_file(path[len(self.plan.root) + 1 :]), act, torn=torn, grows=grows)

    def at_point(
        self,
        operation: str,
        subject: str,
        act: Callable[[], Result],
        *,
        torn: Callable[[], object] | None = None,
        grows: bool = False,
    ) -> Result:
        """Do something that has a point of its own, or what the plan says instead; see `at_path`."""
        point = self._count(f"{self.role}:{operation}:{subject}")
        if isinstance(self.plan.record, str):
            _append(self.plan.record, f"{point}{' torn' if torn is not None else ''}\n")
        self._die_if(point, "before")
        if self.plan.full and self._is_full(point) and grows:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), subject)
        if torn is not None and (point, "torn") in self.plan.kills:
            self._die_if(point, "torn", torn)
        result = act()
        self._die_if(point, "after")
        return result

    def _count(self, name: str) -> str:
        with self._lock:
            self._passed[name] += 1
            return f"{name}:{self._passed[name]}"

    def _die_if(self, point: str, when: str, last_act: Callable[[], object] | None = None) -> None:
        marker = self.plan.kills.get((point, when))
        if marker is None:
            return
        try:
            fd = real_open(marker, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            return
        real_write(fd, f"{os.getpid()}\n".encode())
        os.close(fd)
        if last_act is not None:
            last_act()
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)  # the signal has come by now

    def _is_full(self, point: str) -> bool:
        since, freed, begin = self.plan.full["since"], self.plan.full["freed"], self.plan.full["point"]
        if begin in {"*", point} and not os.path.exists(since):
            _append(since, f"{point}\n")
        return os.path.exists(since) and not os.path.exists(freed)


def _append(path: str, text: str) -> None:
    fd = real_open(fsdecode(path), os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o644)
    try:
        real_write(fd, text.encode())
    finally:
        os.close(fd)
