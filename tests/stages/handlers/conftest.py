"""Failed cases as a supervisor meets them, made from a study, a step and a failure."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import JsonValue

from stagewright.stages.failure import Failure
from stagewright.stages.handlers import FailedCase
from stagewright.state.records import ArtifactSeal, Limits, Resources, SealedData
from stagewright.state.run_state import RunState, SealedStep
from stagewright.state.spec import GoalSpec, parse_spec

SHA = "0" * 64
GIB = 2**30
HOUR_S = 3600.0

MakeCase = Callable[..., FailedCase]


def study(**changes: JsonValue) -> GoalSpec:
    """Return a study with something to give up everywhere."""
    declared: dict[str, Any] = {
        "objective": "test",
        "data": {
            "path": "/data/cohort.h5ad",
            "patient": "patient",
            "label": {"column": "label", "positive": "a", "negative": "b"},
        },
        "preprocess": [{"method": "hvg", "n_top_genes": 2000}, {"method": "all_filtered", "min_cells_fraction": 0.01}],
        "reference": {"method": "hvg", "n_top_genes": 4000},
        "reduction": {"methods": ["pca", "fa", "nmf"], "k": [20, 40, 60], "seeds": [1, 2, 3, 4]},
        "budget": {"runtime": "1h", "memory": "8GiB"},
    }
    return parse_spec({**declared, **changes})


def standing(spec: GoalSpec, step: str) -> RunState:
    """Return a run that stands at a step, with every step before it sealed."""
    steps = tuple(f"{checkpoint}/{stage}" for checkpoint in "ABC" for stage in spec.stages)
    seal = ArtifactSeal(outcome="outcome.json", outcome_sha256=SHA, count=1, bytes=1)
    sealed = SealedStep(attempt=1, artifacts=seal, metrics={}, elapsed_s=1, peak_rss_bytes=1, verdict="pass")
    before = steps[: steps.index(step)]
    swept = f"{step[0]}/plan0" in before
    budget = spec.budget
    return RunState(
        run_id="run",
        objective="test",
        parent_run_id=None,
        spec_sha256=SHA,
        spec_digest=SHA,
        data=SealedData(path="/data/cohort.h5ad", bytes=1, sha256=SHA),
        limits=Limits(runtime_s=budget.runtime, memory_bytes=budget.memory, retries=budget.retries),
        approvals=(),
        steps=steps,
        position=steps.index(step),
        status="running",
        attempt=len(before) + 1,
        sealed=dict.fromkeys(before, sealed),
        k_by_method={method: spec.reduction.ks(method)[0] for method in spec.reduction.methods} if swept else {},
        k_shortlist={method: spec.reduction.ks(method)[:2] for method in spec.reduction.methods} if swept else {},
    )


@pytest.fixture
def case() -> MakeCase:
    """Return a function that makes the case of a step of a study that failed."""

    def made(
        failure: Failure, step: str = "C/plan0", spec: GoalSpec | None = None, *, workers: int = 4, **more: object
    ) -> FailedCase:
        declared = spec or study()
        state = standing(declared, step)
        used = {
            "elapsed_s": 60.0,
            "peak_rss_bytes": 4 * GIB,
            "runtime_left_s": HOUR_S,
            "memory_limit_bytes": declared.budget.memory,
            "memory_available_bytes": 256 * GIB,
            "disk_free_bytes": 3 * 2**20,
        }
        known = {name: more.pop(name) for name in [*more] if name in used}
        fields: dict[str, object] = {
            "caps": Limits(runtime_s=7 * 24 * HOUR_S, memory_bytes=64 * GIB, retries=5),
            "resources": Resources.model_validate(used | known),
        }
        return FailedCase(
            failure=failure,
            state=state,
            spec=declared,
            workers=workers,
            limits=state.effective_limits,
            **(fields | more),  # type: ignore[arg-type]  # what a test says
        )

    return made
