"""The last resort: what no handler knows, or cannot help, is opened again once a person has mended the cause."""

from collections.abc import Iterator

from stagewright.stages.handlers.case import FailedCase
from stagewright.state.attempts import CONTEXT, TRACEBACK
from stagewright.state.records import Proposal

__all__ = ["open_again"]


def open_again(case: FailedCase) -> Iterator[Proposal]:
    """Propose the smallest safe thing; nothing where a budget is short and no more of it can be had."""
    if case.failure.kind in ("runtime_budget", "memory_budget"):
        return
    if case.failure.kind == "out_of_memory":
        first = "end other programs that hold memory on this machine, or run on one that has more"
    elif case.failure.kind == "bug":
        first = f"report it with {TRACEBACK} and {CONTEXT} of the attempt, and install a version that mends it"
    else:
        first = "mend what the error names"
    yield Proposal(what="open the step again, with the cause mended", adjustments={}, first=first)
