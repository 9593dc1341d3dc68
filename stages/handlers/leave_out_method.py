"""Skip the method of the unit that failed."""

from collections.abc import Iterator

from stagewright.stages.handlers.case import FailedCase
from stagewright.stages.handlers.json_values import list_of
from stagewright.stages.handlers.of_unit import belongs_to_unit
from stagewright.state.records import Proposal

__all__ = ["leave_out_method"]


def leave_out_method(case: FailedCase) -> Iterator[Proposal]:
    """Propose the study without the method, here and at the checkpoints to come."""
    method = case.failure.method
    left = [str(name) for name in case.spec.reduction.methods if name != method]
    if method is not None and left and belongs_to_unit(case):
        yield Proposal(what=f"leave out {method}", adjustments={"methods": list_of(left)})
