"""Threads of this machine over code that lets go of Python's lock, and processes for what holds it."""

import multiprocessing
import os
import shutil
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits

from stagewright.stages.classify.threads import map_nogil
from stagewright.stages.executors.shared import Shared, Sharing, elsewhere, here
from stagewright.stages.executors.stored import resolved
from stagewright.state.executor import ExecutorChoice, ExecutorRecord

__all__ = ["LocalExecutor", "open_executor"]

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_Value = TypeVar("_Value")


class LocalExecutor:
    """Runs calls in the thread that makes them, or in a process beside.

    The processes are children of the worker: its limits of time and memory cover them, and they end with it.

    Parameters
    ----------
    n_workers
        Units side by side, at least 1.
    scratch
        Where the arguments of processes are written. It is made when it is needed, and removed at the end.
    """

    def __init__(self, n_workers: int, scratch: Path) -> None:
        if n_workers < 1:
            raise ValueError(f"n_workers must be at least 1, not {n_workers}.")
        self.n_workers = n_workers
        self._scratch = scratch
        self._sharing = Sharing(scratch)
        self._lock = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None

    def map(
        self, function: Callable[[_Item], _Result], items: Iterable[_Item], *, most: int | None = None
    ) -> list[_Result]:
        """Apply a function to each item on threads; see `Executor.map`."""
        return map_nogil(function, items, self.n_workers if most is None else min(most, self.n_workers))

    def share(self, value: _Value, build: Callable[..., _Value], **parts: Any) -> Shared[_Value]:  # noqa: ANN401
        """Return a value as a shared one, the same object in this process; see `Executor.share`."""
        return self._sharing.share(value, build, **parts)

    def call(self, function: Callable[..., _Result], *arguments: Any, holds_gil: bool = False) -> _Result:  # noqa: ANN401
        """Call a function here; in another process if it holds the lock and others have work meanwhile.

        Raises
        ------
        Exception
            What the function raises; `BrokenProcessPool` when its process was ended.
        """
        if not holds_gil or self.n_workers == 1:
            return function(*map(here, arguments))
        return self._processes().submit(_call, function, tuple(map(elsewhere, arguments))).result()

    def record(self) -> ExecutorRecord:
        """Return how many calls ran side by side."""
        return ExecutorRecord(kind="local", workers=self.n_workers)

    def close(self) -> None:
        """End the processes and remove their arguments."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(cancel_futures=True)
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _processes(self) -> ProcessPoolExecutor:
        with self._lock:
            if self._pool is None:
                # Spawned, not forked: this process has threads, and numba's and BLAS's state with them.
                spawn = multiprocessing.get_context("spawn")
                self._pool = ProcessPoolExecutor(self.n_workers, mp_context=spawn, initializer=_begin)
            return self._pool


def _begin() -> None:
    """In a new process: end with the one that started it, however that ends."""
    parent = multiprocessing.parent_process()
    if parent is None:
        raise RuntimeError("this runs in the processes of a pool only")

    def watch() -> None:
        parent.join()
        os._exit(1)  # nobody is left who could take a result

    threading.Thread(target=watch, daemon=True).start()


def _call(function: Callable[..., _Result], arguments: tuple[Any, ...]) -> _Result:
    with threadpool_limits(limits=1, user_api="blas"):
        return function(*map(resolved, arguments))


def open_executor(choice: ExecutorChoice, n_workers: int, scratch: Path) -> LocalExecutor:  # noqa: ARG001 - as for all
    """Return the executor of this machine."""
    return LocalExecutor(n_workers, scratch)
