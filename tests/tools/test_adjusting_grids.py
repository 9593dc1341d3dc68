"""What may be added to a grid in the middle of a checkpoint."""

from pathlib import Path

import pytest

from stagewright.state.records import ArtifactSeal, Limits, SealedData
from stagewright.state.refusals import Refusal
from stagewright.state.run_state import RunState, SealedStep
from stagewright.state.spec import GoalSpec, parse_spec
from stagewright.tools.adjusting import Adjustment, adjustment_of
from stagewright.tools.workspace import Workspace

SHA = "0" * 64
SPEC = parse_spec(
    {
        "objective": "test",
        "data": {
            "path": "x.h5ad",
            "patient": "patient",
            "label": {"column": "label", "positive": "a", "negative": "b"},
        },
        "preprocess": [{"method": "hvg", "n_top_genes": 100}],
        "reduction": {"methods": ["pca", "nmf"], "k": [5, 10]},
    },
)


def _state(stage: str) -> RunState:
    """Return a run that stands before a stage of checkpoint C, with the steps before it sealed."""
    stages = ("plan0", "plan1a", "plan1b")
    seal = ArtifactSeal(outcome="outcome.json", outcome_sha256=SHA, count=1, bytes=1)
    step = SealedStep(attempt=1, artifacts=seal, metrics={}, elapsed_s=1, peak_rss_bytes=1, verdict="pass")
    return RunState(
        run_id="run",
        objective="test",
        parent_run_id=None,
        spec_sha256=SHA,
        spec_digest=SHA,
        data=SealedData(path="/x.h5ad", bytes=1, sha256=SHA),
        limits=Limits(runtime_s=60, memory_bytes=2**30, retries=1),
        approvals=(),
        steps=tuple(f"C/{name}" for name in stages),
        position=stages.index(stage),
        sealed={f"C/{name}": step for name in stages[: stages.index(stage)]},
        k_by_method={} if stage == "plan0" else {"pca": 5, "nmf": 5},
    )


@pytest.mark.parametrize(
    ("stage", "values", "named"),
    [
        ("plan1a", {"methods": ["pca", "fa"]}, "fa cannot be added at C/plan1a"),
        ("plan1b", {"methods": ["pca", "nmf", "fa"]}, "fa cannot be added at C/plan1b"),
        ("plan1b", {"preprocess": [{"method": "hvg", "n_top_genes": 50}]}, "hvg_50 cannot be added"),
        ("plan1a", {"cells_per_patient": {"C": 500}}, "C/plan0 was sealed on other cells \\(all\\)"),
        ("plan1b", {"cells_per_patient": {"C": 500}}, "all steps of a checkpoint look at the same ones"),
        ("plan0", {"cells_per_patient": {"A": 50}}, "checkpoint A is over"),
        ("plan1a", {"reference": {"method": "all_filtered"}}, "C/plan0 chose this checkpoint's K on hvg_100"),
    ],
)
def test_what_no_earlier_step_prepared_cannot_be_added(stage: str, values: dict[str, object], named: str) -> None:
    """A method without a chosen K, or an embedding that nobody sealed, is refused before time is spent on it."""
    with pytest.raises(Refusal, match=named) as caught:
        _adjust(SPEC, _state(stage), values)
    assert caught.value.code == "not_allowed_now"
    assert caught.value.next_call is not None


@pytest.mark.parametrize(
    ("stage", "values", "label"),
    [
        ("plan0", {"methods": ["pca", "fa", "nmf"]}, "tightens"),
        ("plan1a", {"preprocess": [{"method": "all_filtered"}, {"method": "hvg", "n_top_genes": 100}]}, "tightens"),
        ("plan1b", {"methods": ["pca"]}, "loosens"),
        ("plan1b", {"alphas": [0.1, 1]}, "neutral"),
        ("plan0", {"cells_per_patient": {"C": 500}}, "loosens"),
        ("plan0", {"reference": {"method": "all_filtered"}}, "neutral"),
    ],
)
def test_the_rest_may_change(stage: str, values: dict[str, object], label: str) -> None:
    """Where the step itself prepares what is added, or something is left out, the change is taken and labelled."""
    assert _adjust(SPEC, _state(stage), values) == label


def test_cells_are_not_raised_above_the_sealed_scale() -> None:
    """More cells than were declared are another study: the refusal says what was sealed."""
    state = _state("plan0").model_copy(update={"steps": ("A/plan0",), "position": 0, "sealed": {}})
    with pytest.raises(Refusal, match=r"cells_per_patient.A: got 200; the sealed spec has 100"):
        _adjust(SPEC, state, {"cells_per_patient": {"A": 200}})


def test_a_later_change_of_the_preprocess_list_leaves_the_reference() -> None:
    """Without a `reference` Plan 0 takes the first preprocess: at a later step that one is kept, and recorded."""
    values: dict[str, object] = {"preprocess": [{"method": "all_filtered"}]}
    kept = _adjustment(SPEC, _state("plan1a"), values)
    assert [change.field for change in kept.changes] == ["preprocess"]
    assert kept.values["reference"] == {"method": "hvg", "n_top_genes": 100}
    followed = _adjustment(SPEC, _state("plan0"), values)
    assert [change.field for change in followed.changes] == ["preprocess", "reference"]


def _adjust(spec: GoalSpec, state: RunState, values: dict[str, object]) -> str | None:
    return _adjustment(spec, state, values).label


def _adjustment(spec: GoalSpec, state: RunState, values: dict[str, object]) -> Adjustment:
    return adjustment_of(
        Workspace(root=Path()),
        state,
        spec,
        values=values,  # type: ignore[arg-type]  # JSON values
        proposal=None,
        k_by_method=None,
    )
