"""Calls on this machine: in place, or in a process beside when they hold Python's lock."""

import operator
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
import psutil
import pytest

from stagewright.stages.executors.local import LocalExecutor

STAGE = """
import os, sys, time
from pathlib import Path
from stagewright.stages.executors.local import LocalExecutor
print(LocalExecutor(2, Path(sys.argv[1])).call(os.getpid, holds_gil=True), flush=True)
time.sleep(60)
"""

Open = Callable[[int], LocalExecutor]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Return a function that opens an executor with some number of workers."""
    executors: list[LocalExecutor] = []

    def make(n_workers: int) -> LocalExecutor:
        executors.append(LocalExecutor(n_workers, tmp_path / "scratch"))
        return executors[-1]

    yield make
    for executor in executors:
        executor.close()


def test_a_call_is_made_in_place(opened: Open, tmp_path: Path) -> None:
    """In the thread that asks, with the shared object itself; nothing is written."""
    executor = opened(2)
    value = object()
    shared = executor.share(value, object)
    assert executor.call(lambda given: given, shared) is value
    assert executor.call(threading.get_ident) == threading.get_ident()
    assert not (tmp_path / "scratch").exists()


def test_what_holds_the_lock_runs_in_another_process(opened: Open, tmp_path: Path) -> None:
    """The array comes as a file; the process and the file are gone when the executor is closed."""
    executor = opened(2)
    array = np.arange(6.0)
    shared = executor.share(array, np.asarray, a=array)
    assert executor.call(operator.getitem, shared, 4, holds_gil=True) == 4.0
    pid = executor.call(os.getpid, holds_gil=True)
    assert pid != os.getpid()
    assert psutil.Process(pid).ppid() == os.getpid()
    executor.close()
    assert not psutil.pid_exists(pid)
    assert not (tmp_path / "scratch").exists()


def test_one_worker_needs_no_process(opened: Open) -> None:
    """Nobody else has work meanwhile."""
    assert opened(1).call(os.getpid, holds_gil=True) == os.getpid()


def test_a_process_that_is_killed_fails_its_call(opened: Open) -> None:
    """And does not leave the stage waiting."""
    with pytest.raises(BrokenProcessPool):
        opened(2).call(os.abort, holds_gil=True)


def test_a_process_does_not_outlive_the_stage(tmp_path: Path) -> None:
    """By kill -9 of the process that started it."""
    starting = [sys.executable, "-P", "-c", STAGE, str(tmp_path / "scratch")]
    with subprocess.Popen(starting, stdout=subprocess.PIPE, text=True) as stage:
        assert stage.stdout is not None
        process = psutil.Process(int(stage.stdout.readline()))
        stage.kill()
    process.wait(10)
    assert not process.is_running()


def test_items_that_hold_memory_are_bounded(opened: Open) -> None:
    """Never more of them at work than asked for, and all of them done, in order."""
    at_work: list[int] = []
    seen: list[int] = []

    def hold(item: int) -> int:
        at_work.append(item)
        seen.append(len(at_work))
        time.sleep(0.01)
        at_work.remove(item)
        return item

    assert opened(4).map(hold, range(12), most=2) == [*range(12)]
    assert max(seen) == 2


def test_at_least_one_worker(tmp_path: Path) -> None:
    """Said at once."""
    with pytest.raises(ValueError, match="at least 1"):
        LocalExecutor(0, tmp_path)
