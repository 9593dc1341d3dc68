"""The worker's side of a call on a cluster."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from threadpoolctl import threadpool_limits

from stagewright.stages.executors.failures import ClusterUnfit
from stagewright.stages.executors.stored import resolved
from stagewright.stages.executors.worker_facts import different, host_facts, must_be_equal

__all__ = ["RemoteCall", "introduce", "run"]

_Result = TypeVar("_Result")


@dataclass(slots=True)
class _Limited:
    """How many modules were loaded when this worker's libraries were last held to one thread."""

    n_modules: int = 0


_LIMITED = _Limited()


@dataclass(frozen=True, slots=True)
class RemoteCall(Generic[_Result]):
    """A call on its way to a worker: one object, into which dask does not look for tasks of its own.

    Attributes
    ----------
    wanted
        What the worker has to compute with.
    """

    wanted: Mapping[str, str]
    function: Callable[..., _Result]
    arguments: tuple[Any, ...]


def run(call: RemoteCall[_Result]) -> _Result:
    """Do a call on a worker of a cluster, with BLAS and OpenMP held to one thread.

    Raises
    ------
    ClusterUnfit
        When this worker would not give the same results. It is asked here too: workers join a cluster at any time.
    """
    unlike = different(call.wanted, must_be_equal())
    if unlike:
        raise ClusterUnfit(f"the worker on {host_facts()[0]} has other software: {unlike}")
    _hold_to_one_thread()
    return call.function(*map(resolved, call.arguments))


def _hold_to_one_thread() -> None:
    """Hold every library that is loaded by now to one thread; asking takes milliseconds, so only when some may be new.

    For good, not for the call: another thread of this worker may be in the middle of a sum when this one ends.
    """
    if _LIMITED.n_modules != len(sys.modules):
        threadpool_limits(limits=1)
        _LIMITED.n_modules = len(sys.modules)


def introduce(sign: Path) -> tuple[Mapping[str, str], tuple[str, str], bool]:
    """Return what this worker computes with, where it runs, and whether it sees a file of the driver."""
    return must_be_equal(), host_facts(), sign.is_file()
