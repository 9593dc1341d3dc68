"""Open the operator's executor and let it make one call, to see whether a step could use it."""

import operator
import tempfile
import uuid
from pathlib import Path

from stagewright.stages.executors.catalogue import open_executor
from stagewright.state.executor import ExecutorChoice, ExecutorRecord

__all__ = ["try_out"]


def try_out(choice: ExecutorChoice) -> ExecutorRecord:
    """Return what an executor runs on, after a call with an argument that every worker has to find.

    Raises
    ------
    SchedulerUnreachable, ClusterUnfit
        As a step would.
    """
    import numpy as np  # noqa: PLC0415 - after the executor has said whether it is there

    with tempfile.TemporaryDirectory(prefix="stagewright-") as folder:
        executor = open_executor(choice, 1, Path(folder) / f"doctor_{uuid.uuid4().hex}")
        try:
            numbers = np.arange(3.0)
            shared = executor.share(numbers, np.asarray, a=numbers)
            if executor.call(operator.getitem, shared, 2) != numbers[2]:
                raise RuntimeError("a call gave another result than it should")
            return executor.record()
        finally:
            executor.close()
