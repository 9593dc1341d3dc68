"""What a checkpoint will take, from attempts whose cost is known by construction."""

from typing import Any

import pytest

from stagewright.stages.forecast.checkpoint import Evidence, forecast_checkpoint
from stagewright.stages.forecast.measured import MeasuredStep, measured_step
from stagewright.stages.forecast.work import step_work, unit_work
from stagewright.state.artifacts import Outcome, UnitRecord
from stagewright.state.attempt_progress import AttemptProgress
from stagewright.state.records import ArtifactSeal, Limits, SealedData
from stagewright.state.spec import Adjustments, effective_study, parse_spec
from stagewright.state.spec.goal import Checkpoint
from stagewright.state.step_request import StepRequest
from stagewright.state.step_units import step_units
from stagewright.tools.forecasting import requests_of

SPEC: dict[str, Any] = {
    "objective": "How long?",
    "data": {
        "path": "x.h5ad",
        "patient": "patient",
        "label": {"column": "label", "positive": "a", "negative": "b"},
    },
    "stages": ["plan0", "plan1a", "plan1b", "plan1c", "plan2"],
    "preprocess": [{"method": "hvg", "n_top_genes": 1000}, {"method": "hvg", "n_top_genes": 2000}],
    "reduction": {"methods": ["pca", "nmf"], "k": [5, 10, 20], "seeds": [1, 2, 3]},
}
SEAL = ArtifactSeal(outcome="none", outcome_sha256="0" * 64, count=0, bytes=0)
LIMITS = Limits(runtime_s=3600, memory_bytes=2**34, retries=0)
N_GENES, STAGES = 20_000, SPEC["stages"]
CELLS = {"A": 1000, "B": 10_000, "C": 50_000}


def _requests(checkpoint: Checkpoint) -> dict[str, StepRequest]:
    spec = parse_spec(SPEC)
    study = effective_study(spec, Adjustments(), checkpoint)
    base = StepRequest(
        run_id="run",
        step=f"{checkpoint}/plan0",
        attempt=1,
        data=SealedData(path="x.h5ad", bytes=1, sha256="0" * 64),
        scope=spec.data,
        study=study,
        k_by_method={"pca": 10, "nmf": 5},
        upstream={"A/plan0": SEAL},
        limits=LIMITS,
        caps=LIMITS,
        workers=2,
    )
    return requests_of(base, checkpoint, study, [*spec.stages])


def _seconds(request: StepRequest, name: str, n_cells: int) -> float:
    return 1e-9 * unit_work(request, name, N_GENES).work * n_cells


def _measured(checkpoint: Checkpoint, stage: str, *, rest_s: float = 5.0) -> tuple[MeasuredStep, StepRequest]:
    """Return an attempt whose units cost what their work and cells say, one after the other."""
    request, n_cells = _requests(checkpoint)[stage], CELLS[checkpoint]
    units = [
        UnitRecord(name=name, how="ran", elapsed_s=_seconds(request, name, n_cells)) for name in step_units(request)
    ]
    outcome = Outcome(step=request.step, attempt=1, artifacts=(), units=tuple(units), n_cells=n_cells)
    shown = {"done": 1, "total": 1, "n_cells": n_cells, "n_genes": N_GENES, "n_nonzero": 500 * n_cells}
    progress = AttemptProgress.model_validate({"at": "2026-11-27T00:00:00Z"} | shown)
    elapsed_s = rest_s + sum(unit.elapsed_s for unit in units)
    return measured_step(request, outcome, progress, elapsed_s=elapsed_s, peak_rss_bytes=2**30), request


def _evidence(*checkpoints: Checkpoint, stages: list[str] = STAGES) -> Evidence:
    pairs = [_measured(checkpoint, stage) for checkpoint in checkpoints for stage in stages]
    return Evidence([item for item, _ in pairs], (), [request for _, request in pairs])


def test_the_work_of_every_unit_is_known() -> None:
    """Each unit has a kind with its method; the same work under a permutation of the labels is the same unit."""
    for stage, request in _requests("C").items():
        kinds = {work.group for work in step_work(request, N_GENES)}
        assert stage not in kinds
        assert all(work.work > 0 for work in step_work(request, N_GENES))
    request = _requests("C")["plan2"]
    names = {work.name for work in step_work(request, N_GENES) if work.kind == "cv"}
    assert len(names) == 4, "two preprocesses, two methods"
    with_k = {
        name: unit_work(_requests("C")["plan0"], name, N_GENES).work for name in ("nmf/k_5/seed_1", "nmf/k_20/seed_3")
    }
    assert with_k["nmf/k_20/seed_3"] == 4 * with_k["nmf/k_5/seed_1"]


def test_the_forecast_from_two_checkpoints_is_what_it_takes() -> None:
    """With costs in proportion to work and cells, the next checkpoint takes what the forecast says."""
    requests = _requests("C")
    found = forecast_checkpoint("C", requests, CELLS["C"], _evidence("A", "B"))
    assert found is not None
    assert found.unknown == ()
    takes = 0.0
    for request in requests.values():
        for name in step_units(request):
            by_plan0 = name.startswith("hvg_1000/") and unit_work(request, name, N_GENES).kind == "embedding"
            takes += 0.0 if by_plan0 else _seconds(request, name, CELLS["C"])
    takes += 5 * len(requests)
    assert found.runtime_s == pytest.approx(takes, rel=0.02)
    assert found.runtime_lower_s < takes < found.runtime_upper_s < 4 * takes
    assert found.memory_bytes is not None
    assert found.memory_upper_bytes is not None
    assert 2**30 < found.memory_bytes < found.memory_upper_bytes, "five times the cells take more"
    assert {part.kind for part in found.parts} >= {"fit/nmf", "cv/pca", "search/nmf", "benchmark/nmf", "rest"}
    assert all(part.exponent == pytest.approx(1.0, abs=0.01) for part in found.parts if part.kind != "rest")


def test_what_lies_in_the_cache_costs_nothing() -> None:
    """On as many cells, the fits of a checkpoint are those that the one before did; new K and repeats are not."""
    evidence = _evidence("B", stages=["plan0"])
    same = forecast_checkpoint("B", {"plan0": _requests("B")["plan0"]}, CELLS["B"], evidence)
    more = forecast_checkpoint("C", {"plan0": _requests("C")["plan0"]}, CELLS["B"], evidence)
    assert same is not None
    assert more is not None
    assert [part.kind for part in same.parts] == ["rest"]
    assert {part.units for part in more.parts if part.kind == "fit/nmf"} == {3}, "the seeds of the third K"


def test_what_was_never_measured_is_said() -> None:
    """A stage of which nothing is known is named and left out; with nothing at all there is no forecast."""
    requests = _requests("B")
    found = forecast_checkpoint("B", requests, CELLS["B"], _evidence("A", stages=["plan0"]))
    assert found is not None
    assert found.unknown == ("B/plan1a", "B/plan1b", "B/plan1c", "B/plan2")
    assert "nothing is known of B/plan1a" in found.said()
    assert forecast_checkpoint("B", requests, CELLS["B"], Evidence(())) is None


def test_earlier_runs_on_the_machine_are_a_start() -> None:
    """Their costs by kind stand in for the run's own, and give its first checkpoint the growth by cells."""
    before = _evidence("A", "B")
    found = forecast_checkpoint("C", _requests("C"), CELLS["C"], Evidence((), before.here))
    known = forecast_checkpoint("C", _requests("C"), CELLS["C"], before)
    assert found is not None
    assert known is not None
    assert found.runtime_s == pytest.approx(known.runtime_s)
    assert found.memory_bytes is None, "the peak of another study calibrates nothing"
    assert "10 steps of earlier runs" in found.basis


def test_the_start_of_a_kind_does_not_grow() -> None:
    """Seconds that the first unit takes beyond the others, to compile its code, stand beside the units."""
    usual, request = _measured("A", "plan1b")
    units = [
        UnitRecord(name=name, how="ran", elapsed_s=_seconds(request, name, CELLS["A"]) + (30.0 if at == 0 else 0.0))
        for at, name in enumerate(name for name in step_units(request) if name.endswith("/cv"))
    ]
    outcome = Outcome(step=request.step, attempt=1, artifacts=(), units=tuple(units), n_cells=CELLS["A"])
    elapsed_s = 5.0 + sum(unit.elapsed_s for unit in units)
    cold = measured_step(request, outcome, None, elapsed_s=elapsed_s, peak_rss_bytes=1)
    assert cold.groups["cv/pca"].seconds == pytest.approx(usual.groups["cv/pca"].seconds, rel=0.01)
    assert cold.rest_s == pytest.approx(35.0, abs=0.01)
