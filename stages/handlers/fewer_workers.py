"""Less side by side: results do not depend on the number of workers, memory and open files do."""

from collections.abc import Iterator

from stagewright.stages.handlers.case import MEMORY_KINDS, FailedCase
from stagewright.state.records import FailureKind, Proposal

__all__ = ["fewer_workers"]

KINDS: frozenset[FailureKind] = frozenset({*MEMORY_KINDS, "killed", "lost", "environment"})


def fewer_workers(case: FailedCase) -> Iterator[Proposal]:
    """Propose one worker less, half of them, and a single one. An operator's command is one unit, whatever they are."""
    if case.failure.kind not in KINDS or case.workers < 2 or not case.built_in:  # noqa: PLR2004 - one is the least
        return
    for workers in dict.fromkeys([case.workers - 1, case.workers // 2, 1]):
        units = "one unit at a time" if workers == 1 else f"{workers} units side by side"
        what = f"run {units} instead of {case.workers}; the results stay the same"
        yield Proposal(what=what, adjustments={"workers": workers})
