"""What attempts cost on this machine: a file beside the runs that later ones start from. Lines are only ever appended.

`experiments/.history.jsonl` has a `MeasuredStep` a line. It is no record of any run and decides nothing by itself: a
forecast that leads to a refusal stands in the ledger of its run, whole. The file may be deleted at any time.
"""

import os
import platform
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import get_args

from pydantic import ValidationError

from stagewright.stages.forecast.measured import MeasuredStep
from stagewright.stages.unit_cache.code_version import Kind, code_version
from stagewright.state.canonical import digest_json
from stagewright.state.run_directory import EXPERIMENTS

__all__ = ["HISTORY", "remember_cost", "remembered_costs", "this_code", "this_machine"]

HISTORY = ".history.jsonl"
MOST_BYTES = 4 * 2**20
"""As much of the end of the file is read: some thousands of steps, the newest."""
DIGITS = 12


def this_machine() -> str:
    """Return what tells this machine from others, as far as its speed goes."""
    return f"{platform.node()}/{platform.machine()}/{os.cpu_count()}"


@cache
def this_code() -> str:
    """Return the digest of the code and packages that do the units' work."""
    return digest_json({kind: {**code_version(kind)} for kind in get_args(Kind)})[:DIGITS]


def remember_cost(root: Path, measured: MeasuredStep) -> None:
    """Append what an attempt cost, once. A disk that does not take it costs a later forecast, and this run nothing."""
    path = root / EXPERIMENTS / HISTORY
    line = measured.model_dump_json() + "\n"
    with suppress(OSError):
        known = path.read_bytes()[-MOST_BYTES:] if path.is_file() else b""
        if line.encode() in known:
            return
        whole = b"" if known.endswith(b"\n") or not known else b"\n"  # a line that a crash cut short stays by itself
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            os.write(fd, whole + line.encode())
        finally:
            os.close(fd)


def remembered_costs(root: Path, *, without: str | None = None) -> list[MeasuredStep]:
    """Return what attempts cost on this machine by this code, oldest first; lines that are none are passed over.

    Parameters
    ----------
    without
        A run whose own attempts are not asked for.
    """
    path = root / EXPERIMENTS / HISTORY
    try:
        lines = path.read_bytes()[-MOST_BYTES:].splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        with suppress(ValidationError):
            item = MeasuredStep.model_validate_json(line)
            if (item.machine, item.code) == (this_machine(), this_code()) and item.run_id != without:
                found.append(item)
    return found
