"""An operator's command that said it failed: only its author knows of what, and its last line says most of it."""

from collections.abc import Iterator

from stagewright.stages.handlers.case import FailedCase
from stagewright.state.records import Proposal

__all__ = ["mend_command"]


def mend_command(case: FailedCase) -> Iterator[Proposal]:
    """Propose to open the step again once the script is mended."""
    if case.failure.kind != "command":
        return
    said = next((line.strip() for line in reversed(case.last_lines) if line.strip()), None)
    last = "it printed nothing" if said is None else f"its last line: {said}"
    first = f"have the command behind {case.state.stage} mended ({last})"
    yield Proposal(what=f"open {case.state.step} again, with the command mended", adjustments={}, first=first)
