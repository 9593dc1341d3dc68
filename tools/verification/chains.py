"""Verify the chain of one log, and that nothing but whole lines stands in it."""

import os

from stagewright.state.chain import ChainedLog, Problem
from stagewright.state.log_lock import hold_log

__all__ = ["chain_problems"]

SHOWN = 5


def chain_problems(log: ChainedLog, shown: str) -> list[Problem]:
    """Return what is wrong with one log: its first broken lines, and how many follow.

    Parameters
    ----------
    shown
        The log's name in problems, relative to the run directory.
    """
    if not log.path.is_file():
        return [Problem(shown, None, "is missing; it was made when the run was planned")]
    broken = _causes(log.problems())
    found = [Problem(shown, problem.line, problem.what) for problem in broken[:SHOWN]]
    if len(broken) > SHOWN:
        found.append(Problem(shown, None, f"{len(broken) - SHOWN} more lines of it do not hold"))
    lines, behind = _behind_last_line(log)
    if behind:
        found.append(
            Problem(
                shown,
                lines + 1,
                f"{behind} bytes stand behind the last whole line: a write that a crash cut short (the next entry "
                "moves it aside and says so), or a line feed that was changed",
            )
        )
    return found


def _causes(problems: list[Problem]) -> list[Problem]:
    """Leave out the line after a broken one, where all that is wrong is that it does not follow from it."""
    broken = {problem.line for problem in problems}
    return [
        problem
        for problem in problems
        if problem.line is None or problem.line - 1 not in broken or "does not follow from" not in problem.what
    ]


def _behind_last_line(log: ChainedLog) -> tuple[int, int]:
    """Return the number of whole lines and of the bytes behind them, while nobody appends."""
    fd = os.open(log.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        hold_log(fd, log.path.name, exclusive=False)  # appenders hold it for the length of one write
        lines = whole = 0
        for _, line in log.lines():
            lines += 1
            whole += len(line)
        return lines, os.fstat(fd).st_size - whole
    finally:
        os.close(fd)
