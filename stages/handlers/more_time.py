"""More run time, within the operator's cap."""

from collections.abc import Iterator

from stagewright.stages.handlers.case import FailedCase
from stagewright.stages.handlers.run_time import more_time_for
from stagewright.state.records import Proposal

__all__ = ["more_time"]


def more_time(case: FailedCase) -> Iterator[Proposal]:
    """Propose twice the time."""
    if case.failure.kind != "runtime_budget":
        return
    time = more_time_for(case, 2.0)
    if time is not None:
        what = f"go on{time.said}; the results stay the same"
        yield Proposal(what=what, adjustments=time.adjustments)
