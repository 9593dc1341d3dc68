"""Failures that may pass by themselves: open the step again as it is."""

from collections.abc import Iterator

from stagewright.stages.handlers.case import MEMORY_KINDS, FailedCase
from stagewright.state.records import FailureKind, Proposal

__all__ = ["try_again"]

OTHERS: frozenset[FailureKind] = frozenset({"disk_full", "scheduler_unreachable", "worker_lost"})
"""Somebody has to mend something first, which other handlers say."""


def try_again(case: FailedCase) -> Iterator[Proposal]:
    """Propose the same once more, unless memory was short: that was tried again already, and is the step's own need."""
    kind = case.failure.kind
    if case.failure.transient and kind not in MEMORY_KINDS | OTHERS:
        yield Proposal(what="try the step again as it is", adjustments={})
