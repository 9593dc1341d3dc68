"""What `stagewright doctor` says of the executor that the operator chose."""

from collections.abc import Iterator
from pathlib import Path

from stagewright.server.cli.check import Check
from stagewright.state.executor import DASK_EXTRA, ExecutorChoice, ExecutorRecord, missing_package
from stagewright.tools.children import ChildFailed, ask_child

__all__ = ["check_executor"]

TIMEOUT_S = 600.0


def check_executor(choice: ExecutorChoice, root: Path) -> Iterator[Check]:
    """Yield a check that opens a cluster as a step under this root would; nothing where the executor is local."""
    if choice.kind == "local":
        return
    missing = missing_package(choice)
    if missing is not None:
        yield Check("executor", "fail", missing, f"pip install '{DASK_EXTRA}'")
        return
    asked = choice if choice.scratch is not None else choice.model_copy(update={"scratch": root})
    try:
        for answer in ask_child("stagewright.stages", "executor", asked, ExecutorRecord, TIMEOUT_S):
            if isinstance(answer, ExecutorRecord):
                hosts = ", ".join(f"{host} ({kernels})" for host, kernels in answer.hosts.items())
                yield Check("executor", "ok", f"{choice.said}: {answer.workers} calls side by side on {hosts}")
    except ChildFailed as error:
        mend = "do what it says, or mend [executor] in the policy; docs/executors.md has recipes"
        yield Check("executor", "fail", error.last_line.partition(": ")[2] or error.last_line, mend)
