"""How a worker is started. Light to import: the ledger names the command before any process exists."""

import os
import sys
from pathlib import Path

from stagewright.state.threads import PINNED_THREADS

__all__ = ["NO_REPORT", "pinned_environment", "worker_command"]

NO_REPORT = 74
"""A worker's exit status when the disk took neither its results nor its report (EX_IOERR of sysexits.h)."""


def worker_command(attempt: Path) -> list[str]:
    """Return the argv of an attempt's worker."""
    return [sys.executable, "-P", "-m", "stagewright.stages", "work", str(attempt)]


def pinned_environment() -> dict[str, str]:
    """Return the environment of a child: BLAS on one thread, so that results do not depend on the number of cores."""
    return os.environ | dict.fromkeys(PINNED_THREADS, "1") | {"PYTHONUNBUFFERED": "1"}
