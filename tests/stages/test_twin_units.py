"""Which units the null twin has in either stage."""

from typing import Any

from stagewright.stages.catalogue import count_units
from stagewright.state.spec import Adjustments, effective_study, parse_spec
from stagewright.state.step_units import twin_units

SPEC: dict[str, Any] = {
    "objective": "test",
    "data": {
        "path": "cohort.h5ad",
        "patient": "patient",
        "label": {"column": "label", "positive": "cancer", "negative": "normal"},
    },
    "stages": ["plan0", "plan1b", "plan1c"],
    "preprocess": [{"method": "deg_weak_screen"}],
    "reduction": {"methods": ["pca"], "k": [3, 4], "seeds": [1]},
}


def test_under_scope_pipeline_the_twin_of_plan1c_is_not_refitted_in_folds() -> None:
    """The scope is Plan 1B's alone: Plan 1C's genes saw the label of all cells, and its twin needs its own."""
    classifier: dict[str, Any] = {"cv": {"folds": 3, "repeats": 2, "scope": "pipeline"}}
    spec = parse_spec(SPEC | {"classifier": classifier})
    study = effective_study(spec, Adjustments(), "C")
    (entry,) = study.preprocess
    tag = entry.tag
    assert twin_units(study, entry, "pca", {"pca": 3}, "plan1c") == (
        f"null_twin/{tag}/pca/k_3",
        f"null_twin/{tag}/pca/benchmark",
    )
    assert twin_units(study, entry, "pca", {"pca": 3}, "plan1b") == (
        *(f"null_twin/{tag}/pca/repeat_0/fold_{fold}" for fold in range(3)),
        f"null_twin/{tag}/pca/cv",
    )
    assert count_units("plan1c", study, ("plan0", "plan1b", "plan1c")) == 3
