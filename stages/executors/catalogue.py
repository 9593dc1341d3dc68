"""The executors by the name that the operator's policy has for them. Light: the one that is asked for is imported."""

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import cast

from stagewright.stages.executors.executor import Executor
from stagewright.state.executor import ExecutorChoice

__all__ = ["EXECUTORS", "open_executor"]

EXECUTORS: Mapping[str, str] = {
    "local": "stagewright.stages.executors.local",
    "dask": "stagewright.stages.executors.dask_cluster",
}


def open_executor(choice: ExecutorChoice, n_workers: int, scratch: Path) -> Executor:
    """Return the executor of the operator's choice, ready for calls.

    Parameters
    ----------
    n_workers
        Units side by side on this machine; a cluster has as many as it has threads.
    scratch
        A folder that only this attempt uses; it need not exist.

    Raises
    ------
    ImportError
        When the package of the choice is missing; the text names the extra that has it.
    SchedulerUnreachable, ClusterUnfit
        When the cluster cannot be used.
    """
    opened = cast(
        "Callable[[ExecutorChoice, int, Path], Executor]", import_module(EXECUTORS[choice.kind]).open_executor
    )
    return opened(choice, n_workers, scratch)
