"""Forecast a checkpoint from what its stages cost before: seconds by kind of unit and cells, and the peak of memory.

Seconds of a step are those of its units, as many side by side as were before, and those beside its units. A unit whose
result lies in the cache, by the same name on as many cells, costs nothing. What the kinds miss is taken as independent:
their distances from the bounds add up as squares do. Memory is the measured peak of the same
stage, scaled by the formula of `stages.peak_memory`. A stage of which nothing was measured has no forecast.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from stagewright.stages.forecast.cost_line import CostLine, cost_line
from stagewright.stages.forecast.measured import MeasuredStep
from stagewright.stages.forecast.work import Work, step_work
from stagewright.stages.peak_memory import DataSize, peak_memory_bytes
from stagewright.state.forecast import Forecast, ForecastPart
from stagewright.state.spec.goal import Checkpoint
from stagewright.state.step_request import StepRequest
from stagewright.state.step_units import embeddings_step

__all__ = ["Evidence", "forecast_checkpoint"]

CACHED = ("fit", "held_out", "embedding", "genes", "paths")
"""Kinds whose units have the same inputs where they have the same name, on as many cells."""
REST_GROWS, REST_FACTOR = 0.5, 2.0
"""What a step takes beside its units is mostly the start of its process, which is the same for any data, and the
reading of its cells, which grows with them: between not at all and the square root, within the sizes that occur."""
MEMORY_FACTOR = 1.25
"""By how much a peak may lie above the formula's, once a peak of the same stage has calibrated it."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a forecast is made from.

    Attributes
    ----------
    here
        Attempts of the run itself, oldest first.
    before
        Those of earlier runs on the same machine by the same code, oldest first.
    requests
        What each attempt of `here` was asked, in the same order.
    """

    here: Sequence[MeasuredStep]
    before: Sequence[MeasuredStep] = ()
    requests: Sequence[StepRequest] = ()

    @property
    def all(self) -> list[MeasuredStep]:
        """All attempts, those of the run last: a line is anchored at the last one."""
        return [*self.before, *self.here]

    def said(self) -> str:
        """Return what there is, in words."""
        steps = ", ".join(dict.fromkeys(item.step for item in self.here))
        earlier = len({(item.run_id, item.step) for item in self.before})
        parts = [f"from {steps}"] if steps else []
        parts += [f"{'and ' if steps else 'from '}{earlier} steps of earlier runs on this machine"] if earlier else []
        return " ".join(parts) or "from nothing"


def forecast_checkpoint(
    checkpoint: Checkpoint, requests: Mapping[str, StepRequest], n_cells: int, evidence: Evidence
) -> Forecast | None:
    """Return the forecast of a checkpoint, or None where nothing is known of any of its steps.

    Parameters
    ----------
    requests
        What each stage will be asked, by stage, in their order.
    n_cells
        Cells that they will look at.
    """
    known, unknown, peaks = list[tuple[float, ForecastPart]](), list[str](), list[tuple[int, int]]()
    n_genes = next((item.n_genes for item in reversed(evidence.all) if item.n_genes is not None), None)
    done = _done(evidence, n_cells, n_genes)
    for stage, request in requests.items():
        parts = [*_parts(request, n_cells, n_genes, evidence, done)]
        if parts and all(lower is not None for lower, _ in parts):
            known += [(lower, part) for lower, part in parts if lower is not None]
            peaks += _peaks(request, n_cells, evidence)
        else:
            unknown.append(f"{checkpoint}/{stage}")
    if not known:
        return None
    parts_known = tuple(part for _, part in known)
    runtime_s = sum(part.runtime_s for part in parts_known)
    below = math.hypot(*(part.runtime_s - lower for lower, part in known))
    above = math.hypot(*(part.upper_s - part.runtime_s for part in parts_known))
    return Forecast(
        checkpoint=checkpoint,
        n_cells=n_cells,
        runtime_s=round(runtime_s, 3),
        runtime_lower_s=round(max(0.0, runtime_s - below), 3),
        runtime_upper_s=round(runtime_s + above, 3),
        memory_bytes=max((peak for peak, _ in peaks), default=None),
        memory_upper_bytes=max((upper for _, upper in peaks), default=None),
        parts=parts_known,
        basis=evidence.said(),
        unknown=tuple(unknown),
    )


def _parts(
    request: StepRequest, n_cells: int, n_genes: int | None, evidence: Evidence, done: set[tuple[str, float]]
) -> Iterator[tuple[float | None, ForecastPart]]:
    """Yield what a step consists of, each with its lower bound in seconds; None where nothing like it was measured."""
    same = [item for item in evidence.all if item.stage == request.stage]
    side_by_side = same[-1].side_by_side if same else 1.0
    todo: dict[str, list[Work]] = {}
    for work in step_work(request, n_genes):
        if (work.name, work.work) not in done and not _fitted_by_plan0(request, work):
            todo.setdefault(work.group, []).append(work)
    for group, units in todo.items():
        line = _line(group, evidence)
        if line is None and group == "genes":
            continue  # they were all taken from the cache, and are quick
        amount = sum(unit.work for unit in units) / side_by_side
        yield _part(request.step, group, len(units), amount, line, n_cells)
    rest = [(item.n_cells, item.rest_s) for item in same]
    line = cost_line(rest, alone=0.0, steepest=REST_GROWS, widest=REST_FACTOR) if rest else None
    yield _part(request.step, "rest", 1, 1.0, line, n_cells)


def _part(
    step: str, kind: str, n_units: int, amount: float, line: CostLine | None, n_cells: int
) -> tuple[float | None, ForecastPart]:
    lower, central, upper = (0.0, 0.0, 0.0) if line is None else line.costs(n_cells)
    part = ForecastPart(
        step=step,
        kind=kind,
        units=n_units,
        runtime_s=round(amount * central, 3),
        upper_s=round(amount * upper, 3),
        exponent=0.0 if line is None else round(line.exponent, 3),
    )
    return None if line is None else amount * lower, part


def _line(group: str, evidence: Evidence) -> CostLine | None:
    """Return the cost line of a kind of unit.

    A fit of Plan 0 and one of Plan 1 are the same work under two names. A search of which none was measured, because
    the checkpoints before had none, is taken to cost what cross-validation does.
    """
    kind, _, method = group.partition("/")
    alike = {group, *(f"{one}/{method}" for one in ("fit", "embedding") if kind in ("fit", "embedding"))}
    points = _points(alike, evidence)
    if not points and kind == "search":
        points = _points({f"cv/{method}"}, evidence)
    return cost_line(points) if points else None


def _points(groups: set[str], evidence: Evidence) -> list[tuple[int, float]]:
    """Return cells, and seconds for one of work, of each attempt that has units of these kinds."""
    return [
        (item.n_cells, cost.seconds / cost.work)
        for item in evidence.all
        for name, cost in item.groups.items()
        if name in groups and cost.work > 0 and cost.seconds > 0
    ]


def _fitted_by_plan0(request: StepRequest, work: Work) -> bool:
    """Return whether Plan 0 of the same checkpoint has fitted an embedding: then it is taken from the cache."""
    after_plan0 = any(step.endswith("/plan0") for step in request.upstream)
    return after_plan0 and work.kind == "embedding" and work.name.startswith(f"{request.study.reference.tag}/")


def _done(evidence: Evidence, n_cells: int, n_genes: int | None) -> set[tuple[str, float]]:
    """Return the units, with their work, that the run has done on as many cells: they lie in its cache."""
    return {
        (work.name, work.work)
        for item, request in zip(evidence.here, evidence.requests, strict=True)
        if item.n_cells == n_cells
        for work in step_work(request, n_genes)
        if work.kind in CACHED
    }


def _peaks(request: StepRequest, n_cells: int, evidence: Evidence) -> Iterable[tuple[int, int]]:
    """Return the peak that a step is expected to reach, and its upper bound, in bytes; nothing where none is known."""
    pairs = [*zip(evidence.here, evidence.requests, strict=True)]
    same = next(((item, asked) for item, asked in reversed(pairs) if item.stage == request.stage), None)
    if same is None:
        return []
    item, asked = same
    sized = next((one for one, _ in reversed(pairs) if one.n_cells == item.n_cells and one.n_nonzero is not None), None)
    scale = 1.0
    if sized is not None and sized.n_genes is not None and sized.n_nonzero is not None:
        then = DataSize(sized.n_cells, sized.n_genes, sized.n_nonzero)
        now = DataSize(n_cells, sized.n_genes, round(sized.n_nonzero * n_cells / max(1, sized.n_cells)))
        peaks = (_formula(asked, then), _formula(request, now))
        if peaks[0] is not None and peaks[1] is not None:
            scale = peaks[1] / peaks[0]
    return [(round(item.peak_rss_bytes * scale), round(item.peak_rss_bytes * scale * MEMORY_FACTOR))]


def _formula(request: StepRequest, size: DataSize) -> int | None:
    return peak_memory_bytes(
        request.stage,
        request.study,
        request.k_by_method,
        size,
        workers=request.workers,
        embedded=embeddings_step(request) is not None,
    )
