"""Fewer cells of each patient at the present checkpoint, for a step that needs too much memory or time."""

from collections.abc import Iterator

from stagewright.stages.handlers.case import MEMORY_KINDS, FailedCase
from stagewright.stages.handlers.run_time import less_work_in
from stagewright.state.records import Proposal
from stagewright.state.spec.scales import SCALES

__all__ = ["fewer_cells"]

FEWEST = 10


def fewer_cells(case: FailedCase) -> Iterator[Proposal]:
    """Propose half of the cells, and a quarter, where no step of the checkpoint is sealed on more of them."""
    if case.failure.kind not in MEMORY_KINDS | {"runtime_budget"} or not case.cells_may_change:
        return
    extra = less_work_in(case)
    if extra is None:
        return
    checkpoint = case.state.checkpoint
    for most in _numbers(case):
        what = f"look at no more than {most} cells of each patient at {checkpoint}{extra.said}"
        yield Proposal(what=what, adjustments={"cells_per_patient": {checkpoint: most}, **extra.adjustments})


def _numbers(case: FailedCase) -> list[int]:
    present = case.study.cells_per_patient
    if present is None and case.average_cells is not None:
        present = round(case.average_cells)
    if present is None:  # all cells, and nobody knows how many: the pilot's number is one that has worked
        pilot = SCALES["B"].cells_per_patient or 0
        said = case.spec.checkpoints.get("B")
        pilot = (said and said.cells_per_patient) or pilot
        return [2 * pilot, pilot]
    return [number for number in (present // 2, present // 4) if number >= FEWEST]
