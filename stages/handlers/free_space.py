"""A full disk: say where, and how much is left."""

from collections.abc import Iterator

from stagewright.stages.handlers.case import FailedCase
from stagewright.state.records import Proposal
from stagewright.state.units import format_bytes

__all__ = ["free_space"]


def free_space(case: FailedCase) -> Iterator[Proposal]:
    """Propose to open the step again once a person has made room."""
    if case.failure.kind != "disk_full":
        return
    where = "the run directory" if case.folder is None else str(case.folder.parent.parent)
    left = "" if case.resources is None else f" ({format_bytes(case.resources.disk_free_bytes)} are free)"
    first = f"free space on the disk or quota of {where}{left}"
    yield Proposal(what="open the step again, on a disk with room", adjustments={}, first=first)
