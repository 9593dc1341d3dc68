"""What an executed attempt cost: seconds for a unit of work by kind, what it took beside its units, and its peak."""

from collections.abc import Iterator, Sequence
from statistics import median

from stagewright.stages.forecast.work import SCORED, Work, unit_work
from stagewright.state.artifacts import Outcome
from stagewright.state.attempt_progress import AttemptProgress
from stagewright.state.records import Record
from stagewright.state.step_request import StepRequest

__all__ = ["GroupCost", "MeasuredStep", "measured_step"]

COLD = 2.0
"""Units of one kind differ by less than this, by the work that is counted; a start does not."""


class GroupCost(Record):
    """The units of one kind that ran: how many, their seconds, and their work (`work.Work`)."""

    units: int
    seconds: float
    work: float


class MeasuredStep(Record):
    """One executed attempt.

    Attributes
    ----------
    machine, code
        Where it ran and by which code: elsewhere, or by other code, it would have taken another time.
    groups
        By kind and method; what was taken from the cache is not among them.
    rest_s
        Seconds beside the units: starting, compiling, loading the data, writing.
    side_by_side
        Units at work at a time, on average, at least 1.
    n_genes, n_nonzero
        Of the counts; None where the step read embeddings alone.
    """

    run_id: str
    step: str
    attempt: int
    machine: str = ""
    code: str = ""
    n_cells: int
    n_genes: int | None = None
    n_nonzero: int | None = None
    groups: dict[str, GroupCost]
    rest_s: float
    side_by_side: float
    peak_rss_bytes: int

    @property
    def stage(self) -> str:
        """The step's stage."""
        return self.step.partition("/")[2]


def measured_step(
    request: StepRequest,
    outcome: Outcome,
    progress: AttemptProgress | None,
    *,
    elapsed_s: float,
    peak_rss_bytes: int,
    where: tuple[str, str] = ("", ""),
) -> MeasuredStep:
    """Return what an executed attempt cost.

    Parameters
    ----------
    progress
        The last that it showed of itself: the size of its counts.
    elapsed_s, peak_rss_bytes
        Of the whole attempt, from the ledger.
    where
        The machine and the code.
    """
    n_genes = None if progress is None else progress.n_genes
    ran = [(unit_work(request, unit.name, n_genes), unit.elapsed_s) for unit in outcome.units if unit.how == "ran"]
    warm = [*_warm(ran)]
    groups: dict[str, GroupCost] = {}
    for (work, _), seconds in zip(ran, warm, strict=True):
        known = groups.get(work.group, GroupCost(units=0, seconds=0.0, work=0.0))
        groups[work.group] = GroupCost(
            units=known.units + 1, seconds=round(known.seconds + seconds, 4), work=known.work + work.work
        )
    in_units = sum(unit.elapsed_s for unit in outcome.units)
    side_by_side = max(1.0, in_units / elapsed_s) if elapsed_s > 0 else 1.0
    in_units -= sum(seconds for _, seconds in ran) - sum(warm)
    return MeasuredStep(
        run_id=request.run_id,
        step=request.step,
        attempt=request.attempt,
        machine=where[0],
        code=where[1],
        n_cells=outcome.n_cells or (progress.n_cells if progress is not None else None) or 0,
        n_genes=n_genes,
        n_nonzero=None if progress is None else progress.n_nonzero,
        groups=groups,
        rest_s=round(max(0.0, elapsed_s - in_units / side_by_side), 3),
        side_by_side=round(side_by_side, 3),
        peak_rss_bytes=peak_rss_bytes,
    )


def _warm(ran: Sequence[tuple[Work, float]]) -> Iterator[float]:
    """Yield the seconds of each unit as if none had been the first of its kind.

    The first unit of a kind in a process also compiles or loads what the kind needs, which does not grow with the
    cells. With units side by side it is not the first to end, so it is told by its time: where the slowest took more
    than twice what its work takes by the others, it counts for that.
    """
    slowest: dict[str, int] = {}
    for at, (work, seconds) in enumerate(ran):
        before = slowest.setdefault(work.group, at)
        if seconds / work.work > ran[before][1] / ran[before][0].work:
            slowest[work.group] = at
    for at, (work, seconds) in enumerate(ran):
        if at != slowest[work.group]:
            yield seconds
            continue
        others = [
            took / other.work
            for number, (other, took) in enumerate(ran)
            if number != at and (other.group == work.group or (work.kind in SCORED and other.kind == work.kind))
        ]
        usual = median(others) * work.work if others else seconds
        yield usual if seconds > COLD * usual else seconds
