"""Adjustments: what they change, what they are called, and what they cannot be."""

import pytest
from pydantic import ValidationError

from stagewright.state.spec import Adjustments, GoalSpec, compare, effective_study, parse_spec
from stagewright.state.spec.goal import CHECKPOINTS, Scale

SPEC = """
objective: x
data: {path: a.h5ad, patient: p, label: {column: c, positive: x, negative: y}}
preprocess: [{method: hvg}, {method: all_filtered}]
reduction: {methods: [pca, fa], k: [10, 20, 30], seeds: [1, 2, 3]}
budget: {runtime: 1h, memory: 2GiB, retries: 1}
"""


@pytest.fixture
def spec() -> GoalSpec:
    """Return a study with something to adjust everywhere."""
    return parse_spec(SPEC)


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ({"k": [10, 20]}, {"k": "loosens"}),
        ({"k": [10, 20, 30, 40]}, {"k": "tightens"}),
        ({"k": [10, 20, 40]}, {"k": "loosens"}),
        ({"k": {"pca": [10, 20, 30], "fa": [10]}}, {"k": "loosens"}),
        ({"methods": ["pca"]}, {"k": "loosens", "methods": "loosens"}),
        ({"methods": ["pca", "fa", "nmf"]}, {"k": "tightens", "methods": "tightens"}),
        ({"methods": ["fa", "pca"]}, {"k": "neutral", "methods": "neutral"}),
        ({"preprocess": [{"method": "hvg"}]}, {"preprocess": "loosens"}),
        ({"seeds": [1, 2]}, {"seeds": "loosens"}),
        ({"seeds": [1, 2, 3, 4]}, {"seeds": "tightens"}),
        ({"penalties": ["l1", "l2"]}, {"penalties": "tightens"}),
        ({"alphas": [0.1, 1.0]}, {"alphas": "neutral"}),
        ({"workers": 2}, {"workers": "neutral"}),
        ({"reference": {"method": "hvg", "n_top_genes": 1000}}, {"reference": "loosens"}),
        ({"reference": {"method": "hvg", "n_top_genes": 9000}}, {"reference": "tightens"}),
        ({"reference": {"method": "all_filtered"}}, {"reference": "neutral"}),
        ({"reference": {"method": "hvg"}}, {}),
        ({"preprocess": [{"method": "all_filtered"}]}, {"preprocess": "loosens", "reference": "neutral"}),
        ({"cells_per_patient": {"A": 50}}, {"cells_per_patient.A": "loosens"}),
        ({"cells_per_patient": {"C": 50}}, {"cells_per_patient.C": "loosens"}),
        ({"cells_per_patient": {"A": 100, "B": 5000}}, {}),
        ({"runtime": "2h"}, {"runtime": "loosens"}),
        ({"runtime": "30min"}, {"runtime": "tightens"}),
        ({"memory": "1GiB"}, {"memory": "tightens"}),
        ({"retries": 3}, {"retries": "loosens"}),
        ({"runtime": "60min", "k": [30, 20, 10]}, {}),
        ({}, {}),
    ],
    ids=str,
)
def test_each_change_is_labelled(spec: GoalSpec, values: dict[str, object], labels: dict[str, str]) -> None:
    """Asking less of the study or giving it more loosens; the reverse tightens; the same in other words is nothing."""
    adjusted = Adjustments.model_validate(values).applied_to(spec)
    assert {change.field: change.label for change in compare(spec, adjusted)} == labels


def test_later_adjustments_stand_on_earlier_ones(spec: GoalSpec) -> None:
    """A newer value of one field leaves the others as they were adjusted before."""
    first = Adjustments.model_validate({"k": [10], "seeds": [7]})
    both = first.merged(Adjustments.model_validate({"k": [20]}))
    adjusted = both.applied_to(spec)
    assert (adjusted.reduction.k, adjusted.reduction.seeds) == ((20,), (7,))
    assert first.k == (10,)


def test_an_adjustment_survives_the_record(spec: GoalSpec) -> None:
    """What the ledger holds gives the same effective study."""
    asked = Adjustments.model_validate({"k": {"pca": [10], "fa": [20]}, "runtime": "90.5s", "memory": "3GiB"})
    recorded = Adjustments.model_validate(asked.model_dump(mode="json", exclude_none=True))
    assert recorded == asked
    assert effective_study(spec, recorded, "C") == effective_study(spec, asked, "C")


@pytest.mark.parametrize(
    "values",
    [
        {"k": []},
        {"k": [1]},
        {"methods": []},
        {"methods": ["t-SNE"]},
        {"seeds": [-1]},
        {"alphas": [float("inf")]},
        {"alphas": [0]},
        {"workers": 0},
        {"retries": 11},
        {"runtime": 5},
        {"memory": "lots"},
        {"label": "other"},
        {"preprocess": [{"method": "hvg"}, {"method": "hvg", "n_top_genes": 3000}]},
    ],
    ids=str,
)
def test_a_value_that_a_spec_could_not_have_is_refused(values: dict[str, object]) -> None:
    """Adjustments are checked like the spec that they change."""
    with pytest.raises(ValidationError):
        Adjustments.model_validate(values)


@pytest.mark.parametrize("values", [{"k": {"pca": [10]}}, {"seeds": [1, 1]}, {"methods": ["pca", "pca"]}], ids=str)
def test_values_that_do_not_fit_together_are_refused(spec: GoalSpec, values: dict[str, object]) -> None:
    """The adjusted study is checked as a whole."""
    with pytest.raises(ValidationError):
        Adjustments.model_validate(values).applied_to(spec)


def test_only_the_adjusted_fields_change(spec: GoalSpec) -> None:
    """Everything that is sealed stays, whatever is adjusted."""
    values = {"k": [10], "methods": ["pca"], "runtime": "2h", "alphas": [1.0], "penalties": ["l2"], "workers": 1}
    adjusted = Adjustments.model_validate(values).applied_to(spec)
    for field in ("objective", "data", "stages", "reference", "stop", "checkpoints", "gates", "holdout", "approvals"):
        assert getattr(adjusted, field) == getattr(spec, field)
    assert adjusted.classifier.cv == spec.classifier.cv


def test_cells_are_only_ever_lowered(spec: GoalSpec) -> None:
    """The sealed scale stays the most, whatever is asked; the rest of it, said or default, stays as it was."""
    declared = spec.model_copy(update={"checkpoints": {"A": Scale(n_k=1), "B": Scale(cells_per_patient=None)}})
    newer = Adjustments.model_validate({"cells_per_patient": {"A": 40, "B": 700, "C": 10**6}})
    found = {name: effective_study(declared, newer, name) for name in CHECKPOINTS}
    assert [study.cells_per_patient for study in found.values()] == [40, 700, 10**6]
    assert (len(found["A"].ks["fa"]), len(found["A"].seeds)) == (1, 2)
    assert effective_study(spec, newer, "B").cells_per_patient == 700
    higher = Adjustments.model_validate({"cells_per_patient": {"A": 101, "B": 1001}})
    assert compare(spec, higher.applied_to(spec)) == ()


def test_each_checkpoint_keeps_its_own_number_of_cells(spec: GoalSpec) -> None:
    """A newer number for one checkpoint leaves that of another; going back up to the sealed scale tightens."""
    first = Adjustments.model_validate({"cells_per_patient": {"A": 40, "B": 500}})
    both = first.merged(Adjustments.model_validate({"cells_per_patient": {"A": 80}}))
    assert both.cells_per_patient == {"A": 80, "B": 500}
    changes = compare(first.applied_to(spec), both.applied_to(spec))
    assert [(change.field, change.label) for change in changes] == [("cells_per_patient.A", "tightens")]


@pytest.mark.parametrize("value", [{}, {"D": 50}, {"A": 9}, {"A": None}, 50], ids=str)
def test_cells_are_given_by_checkpoint(value: object) -> None:
    """A number of at least ten, for A, B or C."""
    with pytest.raises(ValidationError):
        Adjustments.model_validate({"cells_per_patient": value})
