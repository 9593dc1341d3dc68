"""How a worker is started. Light to import: the ledger names the command before any process exists."""

import os
import sys
from pathlib import Path

__all__ = ["pinned_environment", "worker_command"]

THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def worker_command(attempt: Path, lifeline: int | None = None) -> list[str]:
    """Return the argv of an attempt's worker; `lifeline` is the reading end of its supervisor's pipe."""
    command = [sys.executable, "-P", "-m", "stagewright.stages", "work", str(attempt)]
    return command if lifeline is None else [*command, "--lifeline", str(lifeline)]


def pinned_environment() -> dict[str, str]:
    """Return the environment of a child: BLAS on one thread, so that results do not depend on the number of cores."""
    return os.environ | dict.fromkeys(THREADS, "1") | {"PYTHONUNBUFFERED": "1"}
