"""A step that prints without end."""

from collections.abc import Iterator

from stagewright.stages.handlers.case import FailedCase
from stagewright.state.records import Proposal

__all__ = ["print_less"]


def print_less(case: FailedCase) -> Iterator[Proposal]:
    """Propose to open the step again once it prints less, or may print more."""
    if case.failure.kind != "output_limit":
        return
    first = (
        f"have {case.state.stage} print less (worker.log has the beginning and the end of it), or have the operator "
        "raise caps.output in stagewright.toml"
    )
    yield Proposal(what=f"open {case.state.step} again, with less printed", adjustments={}, first=first)
