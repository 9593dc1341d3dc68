"""The exit statuses of the command line."""

from enum import IntEnum

from stagewright.state.run_state import RunState

__all__ = ["ExitStatus", "status_of_run"]


class ExitStatus(IntEnum):
    """What a command leaves with; 2 (usage) comes from the parser."""

    DONE = 0
    FAILED = 1
    REFUSED = 3
    BLOCKED = 4
    INTERRUPTED = 130


def status_of_run(state: RunState) -> ExitStatus:
    """Return the exit status of a loop that left its run in this state.

    A run that was stopped met its failure criterion, or somebody ended it: either way its goal was not reached.
    """
    match state.status:
        case "completed":
            return ExitStatus.DONE
        case "blocked" | "awaiting_approval":
            return ExitStatus.BLOCKED
        case "validated" if state.verdict in ("pass", "warn") and state.recommended == "adjust":
            return ExitStatus.BLOCKED
        case "validated" if state.verdict in ("pass", "warn"):
            return ExitStatus.DONE
        case "validated" | "stopped":
            return ExitStatus.FAILED
        case _:
            return ExitStatus.DONE
