"""The built-in cohort: simulated by a child process, the same on every machine with the same libraries."""

from collections.abc import Iterator
from pathlib import Path

from stagewright.tools.children import run_child
from stagewright.tools.replies import Tick

__all__ = ["COHORT_FILE", "write_cohort"]

COHORT_FILE = "builtin_cohort.h5ad"
TIMEOUT_S = 300.0


def write_cohort(path: Path) -> Iterator[Tick]:
    """Write the built-in cohort to an absolute path, and yield signs of life meanwhile.

    Raises
    ------
    ChildFailed
        When the child failed or took too long.
    """
    yield from run_child(["cohort", str(path)], TIMEOUT_S)
