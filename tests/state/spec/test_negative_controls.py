"""Which columns Plan 2 permutes labels within, and what the spec may not say."""

# Tables, JSON and libraries without types: what is read from them is compared, not computed with.
# pyright: reportArgumentType=false

from typing import Any

import pytest

from stagewright.stages.catalogue import count_units, metric_names, spec_faults
from stagewright.state.refusals import Refusal
from stagewright.state.spec import Adjustments, effective_study, parse_spec

SPEC: dict[str, Any] = {
    "objective": "test",
    "data": {
        "path": "cohort.h5ad",
        "patient": "donor",
        "label": {"column": "CN.label", "positive": "cancer", "negative": "normal"},
        "timepoint": {"column": "time", "keep": ["MRD"]},
        "columns": {"technology": "Tech"},
    },
    "stages": ["plan0", "plan1a", "plan1b", "plan2"],
    "preprocess": [{"method": "hvg"}, {"method": "all_filtered", "enrichment_ratio": 20}],
}


def _strata(**controls: object) -> tuple[str, ...]:
    return effective_study(parse_spec(SPEC | {"negative_controls": controls}), Adjustments(), "C").permutation_strata


def test_labels_are_permuted_within_patient_and_time_point_unless_said_otherwise() -> None:
    """Roles and columns are both understood; without a time point the patient stands alone."""
    assert _strata() == ("donor", "time")
    assert _strata(strata=["patient", "technology"]) == ("donor", "Tech")
    assert _strata(strata=["Tech", "donor", "patient"]) == ("Tech", "donor")
    data = {name: value for name, value in SPEC["data"].items() if name != "timepoint"}
    assert effective_study(parse_spec(SPEC | {"data": data}), Adjustments(), "C").permutation_strata == ("donor",)


@pytest.mark.parametrize(
    ("strata", "says"),
    [
        (["batch"], "name it under data.columns, e.g. columns: {batch: batch}"),
        (["CN.label"], "is the label"),
        (["patient", "patient"], "may be named once"),
        ([], "at least 1"),
    ],
)
def test_a_stratum_that_cannot_be_is_refused(strata: list[str], says: str) -> None:
    """An unknown column is told how to load it; the label itself would permute nothing."""
    with pytest.raises(Refusal, match=says):
        _strata(strata=strata)


def test_plan2_mirrors_the_plan1_stages_before_it() -> None:
    """Units: two supervised embeddings and two stages of two preprocesses, for each method and permutation."""
    spec = parse_spec(SPEC | {"negative_controls": {"permutations": 5}, "reduction": {"methods": ["pca", "fa"]}})
    study = effective_study(spec, Adjustments(), "C")
    assert study.mirrored == ("plan1a", "plan1b")
    assert count_units("plan2", study, spec.stages) == 5 * (2 + 2 * 2 * 2)
    assert metric_names("plan2", spec) == ["plan2.best.auc", "plan2.excess", "plan2.p", "plan2.n_above_chance"]
    assert spec_faults(spec, {}) == []


def test_plan2_alone_has_nothing_to_run_again() -> None:
    """The fault names what may stand before it."""
    (fault,) = spec_faults(parse_spec(SPEC | {"stages": ["plan0", "plan2"]}), {})
    assert fault == "stages: plan2 runs earlier stages again; put one of plan1a, plan1b, plan1c before it"
