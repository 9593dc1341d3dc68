"""Verify the log of a root: the calls that name no run."""

from pathlib import Path

from stagewright.state.chain import Problem
from stagewright.state.head_file import head_path
from stagewright.state.run_directory import EXPERIMENTS
from stagewright.tools.verification.chains import chain_problems
from stagewright.tools.verification.read_log import read_log

__all__ = ["ROOT_LOG", "verify_root_log"]

ROOT_LOG = "tool_calls.log"


def verify_root_log(root: Path) -> list[Problem] | None:
    """Return what does not hold in the log of a root, relative to ``experiments/``; None where it was never begun.

    Where log and head file are both gone nothing tells that they were there.
    """
    path = root / EXPERIMENTS / ROOT_LOG
    if not path.is_file() and not head_path(path).is_file():
        return None
    read = read_log(path, ROOT_LOG)
    if read.missing:
        return [Problem(ROOT_LOG, None, f"is missing; {head_path(path).name} beside it names an entry of it")]
    if not read.n_lines and read.head is None:  # somebody died before the first entry
        return []
    return chain_problems(read)
