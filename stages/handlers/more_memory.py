"""More memory, within the operator's cap and what the machine has."""

from collections.abc import Iterator

from stagewright.stages.handlers.case import MEMORY_KINDS, FailedCase
from stagewright.state.records import Proposal
from stagewright.state.units import format_bytes

__all__ = ["more_memory"]


def more_memory(case: FailedCase) -> Iterator[Proposal]:
    """Propose twice the memory, or as much of that as there is."""
    if case.failure.kind not in MEMORY_KINDS:
        return
    limit = min(case.limits.memory_bytes, case.caps.memory_bytes)
    most = case.caps.memory_bytes
    if case.resources is not None:  # measured when the attempt had let go of its own
        most = min(most, case.resources.memory_available_bytes)
    wanted = min(2 * limit, most)
    if wanted > limit:
        what = f"raise the memory to {format_bytes(wanted)}; the results stay the same"
        yield Proposal(what=what, adjustments={"memory": f"{wanted}B"})
