"""The goal spec: the contract's example parses whole, and every fault is told with its place."""

import copy
import json
from typing import Any

import pytest
import yaml

from stagewright.state.refusals import Refusal
from stagewright.state.spec import GoalSpec, effective_study, parse_spec
from stagewright.state.spec.adjustments import Adjustments
from stagewright.state.spec.differences import spec_differences

EXAMPLE = """\
objective: "At MRD, does gene filtering change how well malignant cells separate from normal ones?"
data:
  path: data/cohort.h5ad
  counts: X                       # or layers/<name>, or raw
  patient: patient
  label: {column: CN.label, positive: cancer, negative: normal}
  timepoint: {column: timepoint_type, keep: [MRD]}
  filters: [{column: Tech, keep: [CITE]}]
  columns: {source: source, cell_type: predicted.annotation}
stages: [plan0, plan1a, plan1b]   # the default; plan1c, plan2 and command stages on request
preprocess:
  - {method: hvg, n_top_genes: 3000}
  - {method: all_filtered, min_cells_fraction: 0.01, enrichment_ratio: 20}
  - {method: deg_weak_screen, p: 0.1, lfc: 0.05}
  - {method: hybrid, n_top_genes: 3000, min_cells_fraction: 0.01, enrichment_ratio: 20}
reference: {method: hvg, n_top_genes: 10000}          # plan0's single reference preprocess
reduction: {methods: [pca, fa, nmf, cnmf], k: [20, 40, 60], seeds: [1, 2, 3, 4, 5], rotation: {fa: varimax}}
classifier: {penalties: [l1], alphas: {logspace: [-4, 5, 20]}, cv: {folds: 5, repeats: 10, group: none, scope: classifier}}
stop: {success: [{metric: plan1b.best.auc, at_least: 0.8}], failure: [{metric: plan1b.best.auc, below: 0.55}]}
budget: {runtime: 6h, memory: 16GiB, retries: 2}
checkpoints: {A: {cells_per_patient: 100}, B: {cells_per_patient: 1000}}   # overrides of the defaults
gates: {stability_floor: {at_least: 0.5}}
holdout: {patients: 0.25, queries: 3}
approvals: [C]
"""  # noqa: E501 - the contract's own lines


@pytest.fixture
def declared() -> dict[str, Any]:
    """Return the example as an object."""
    return copy.deepcopy(yaml.safe_load(EXAMPLE))


def test_the_contracts_example_parses_whole() -> None:
    """Every value of section 8 arrives where it belongs."""
    spec = parse_spec(EXAMPLE)
    assert spec.data.obs_columns == ("patient", "CN.label", "timepoint_type", "Tech", "source", "predicted.annotation")
    assert [entry.tag for entry in spec.preprocess] == [
        "hvg_3000",
        "all_filtered_0p01_er20",
        "deg_weak_screen_p0p1_lfc0p05_min500",
        "hybrid_3000_0p01_er20",
    ]
    assert spec.reference_preprocess.tag == "hvg_10000"
    assert spec.reduction.ks("cnmf") == (20, 40, 60)
    assert spec.reduction.rotation == {"fa": "varimax"}
    alphas = spec.classifier.alpha_values()
    assert (len(alphas), alphas[0], alphas[-1]) == (20, pytest.approx(1e-4), pytest.approx(1e5))
    assert (spec.classifier.cv.folds, spec.classifier.cv.repeats, spec.classifier.cv.group) == (5, 10, "none")
    assert str(spec.stop.success[0]) == "plan1b.best.auc >= 0.8"
    assert spec.stop.failure[0].holds(0.5)
    assert not spec.stop.failure[0].holds(0.55)
    assert (spec.budget.runtime, spec.budget.memory, spec.budget.retries) == (21600.0, 2**34, 2)
    assert spec.checkpoints["A"].cells_per_patient == 100
    assert spec.gates["stability_floor"].at_least == 0.5
    assert spec.holdout is not None
    assert (spec.holdout.patients, spec.holdout.queries) == (0.25, 3)
    assert spec.approvals == ("C",)


def test_json_says_the_same_as_yaml(declared: dict[str, Any]) -> None:
    """A JSON text, a YAML text and the object itself declare one study."""
    assert parse_spec(json.dumps(declared)) == parse_spec(EXAMPLE) == parse_spec(declared)


def test_a_spec_survives_being_written_and_read() -> None:
    """What is dumped is itself a spec, with units written out."""
    spec = parse_spec(EXAMPLE)
    dumped = spec.model_dump(mode="json", exclude_none=True)
    assert dumped["budget"] == {"runtime": "6h", "memory": "16GiB", "retries": 2, "failed_units": 0.0}
    assert parse_spec(json.dumps(dumped)) == spec


def test_only_objective_and_data_are_required() -> None:
    """The defaults are a whole study."""
    spec = parse_spec("objective: x\ndata: {path: a.h5ad, patient: p, label: {column: c, positive: 1, negative: 0}}")
    assert spec.stages == ("plan0", "plan1a", "plan1b")
    assert (spec.data.label.positive, spec.data.label.negative) == ("1", "0")
    assert spec.reference_preprocess == spec.preprocess[0]


@pytest.mark.parametrize(
    ("place", "value", "says"),
    [
        ("objectiv", "x", "objectiv: unknown key. Did you mean 'objective'?"),
        ("data.lable", {}, "data.lable: unknown key. Did you mean 'label'?"),
        ("data.label.positiv", "x", "data.label.positiv: unknown key. Did you mean 'positive'?"),
        ("data.filters.0.kep", [], "data.filters[0].kep: unknown key. Did you mean 'keep'?"),
        ("preprocess.0.n_genes", 3, "preprocess[0].n_genes: unknown key. Did you mean 'n_top_genes'?"),
        ("preprocess.1.enrichment", 3, "preprocess[1].enrichment: unknown key. Did you mean 'enrichment_ratio'?"),
        ("reduction.ks", [1], "reduction.ks: unknown key. Did you mean 'k'?"),
        ("classifier.cv.fold", 3, "classifier.cv.fold: unknown key. Did you mean 'folds'?"),
        ("stop.success.0.atleast", 3, "stop.success[0].atleast: unknown key. Did you mean 'at_least'?"),
        ("budget.retry", 3, "budget.retry: unknown key. Did you mean 'retries'?"),
        ("checkpoints.A.cells", 3, "checkpoints.A.cells: unknown key. Did you mean 'cells_per_patient'?"),
        ("gates.stability_floor.at_leest", 3, "gates.stability_floor.at_leest: unknown key. Did you mean 'at_least'?"),
        ("holdout.patient", 3, "holdout.patient: unknown key. Did you mean 'patients'?"),
    ],
)
def test_an_unknown_key_names_the_nearest(declared: dict[str, Any], place: str, value: object, says: str) -> None:
    """At every depth: the place, the nearest known key, and the keys that are allowed there."""
    set_at(declared, place, value)
    line = only_fault(declared)
    assert says in line
    assert "Allowed: " in line


@pytest.mark.parametrize(
    ("place", "value", "says"),
    [
        ("objective", "", "objective: got ''; allowed: have at least 1 character"),
        ("objective", 7, "objective: got 7; allowed: text"),
        ("data.path", None, "data.path: got None; allowed: text"),
        ("data.counts", "Y", "data.counts: got 'Y'; allowed: match pattern"),
        ("data.label.negative", "cancer", "data.label: got"),
        ("data.timepoint.keep", [], "data.timepoint.keep: got []; allowed: "),
        ("data.filters.0.drop", ["x"], "data.filters[0]: got"),
        ("stages", [], "stages: got []"),
        ("stages", ["plan0", "plan0"], "each stage may be named once"),
        ("stages.0", "Plan 0", "stages[0]: got 'Plan 0'; allowed: match pattern"),
        ("preprocess.0.method", "hvgs", "preprocess[0].method: got 'hvgs'; allowed: hvg, all_filtered"),
        ("preprocess.0.n_top_genes", 1, "preprocess[0].n_top_genes: got 1; allowed: greater than or equal to 2"),
        ("preprocess.1", {"method": "hvg"}, "two entries would share one name (hvg_3000, hvg_3000"),
        ("preprocess.1.min_cells_fraction", 2, "preprocess[1].min_cells_fraction: got 2; allowed: less than"),
        ("reduction.methods.0", "PCA", "reduction.methods[0]: got 'PCA'; allowed: match pattern"),
        ("reduction.methods", ["fa", "fa"], "reduction.methods: got ['fa', 'fa']; each entry may be named once"),
        ("reduction.k", [1], "reduction.k[0]: got 1; allowed: greater than or equal to 2"),
        ("reduction.k", {"pca": [20]}, "k names no list for fa, nmf, cnmf"),
        ("reduction.seeds.0", -1, "reduction.seeds[0]: got -1; allowed: greater than or equal to 0"),
        ("reduction.rotation", {"nmf": "varimax"}, "only fa can be rotated"),
        ("classifier.alphas", {"logspace": [5, -4, 20]}, "write logspace: [start, stop, count]"),
        ("classifier.alphas", [0.0], "classifier.alphas[0]: got 0.0; allowed: greater than 0"),
        ("classifier.alphas", [float("inf")], "classifier.alphas[0]: got inf; allowed: a finite number"),
        ("classifier.cv.scope", "all", "classifier.cv.scope: got 'all'; allowed: 'classifier' or 'pipeline'"),
        ("stop.success.0.below", 1, "give exactly one of at_least, above, at_most, below"),
        ("stop.success.0.at_least", float("nan"), "stop.success[0].at_least: got nan; allowed: a finite number"),
        ("stop.success.0.metric", "auc", "stop.success[0].metric: got 'auc'; allowed: match pattern"),
        ("budget.runtime", 6, "budget.runtime: got 6; write a duration with its unit, above zero, such as 45s"),
        ("budget.memory", "16", "budget.memory: got '16'; write a size with its unit, above zero, such as 500MB"),
        ("budget.retries", 11, "budget.retries: got 11; allowed: less than or equal to 10"),
        ("checkpoints.D", {}, "checkpoints.D: got 'D'; allowed: 'A', 'B' or 'C'"),
        ("checkpoints.A.cells_per_patient", 10**30, "checkpoints.A.cells_per_patient: got 1000"),
        ("holdout.patients", 1, "holdout.patients: got 1; allowed: less than 1"),
        ("approvals.0", "c", "approvals[0]: got 'c'; allowed: 'A', 'B' or 'C'"),
    ],
    ids=str,
)
def test_every_fault_gives_place_value_and_what_is_allowed(
    declared: dict[str, Any], place: str, value: object, says: str
) -> None:
    """One fault is one line."""
    set_at(declared, place, value)
    assert says in only_fault(declared)


def test_all_faults_are_told_at_once(declared: dict[str, Any]) -> None:
    """Nobody has to plan five times to find five faults."""
    del declared["objective"]
    set_at(declared, "budget.runtime", "6")
    set_at(declared, "data.lable", 1)
    text = refused(declared)
    assert "the goal spec has 3 faults:" in text
    assert "objective: missing; this key is required" in text


@pytest.mark.parametrize(
    ("source", "kind"), [("", "empty"), ("[1]", "a list"), ("just words", "a str"), ("3", "a int")]
)
def test_a_spec_is_a_mapping(source: str, kind: str) -> None:
    """Anything else is told what it is."""
    assert f"the spec is {kind}; it must be a mapping with at least objective and data" in refused(source)


def test_a_checkpoint_scales_the_study(declared: dict[str, Any]) -> None:
    """A takes the two smallest K and two seeds, B a reduced grid, C everything; the spec overrides both."""
    declared["checkpoints"]["A"] |= {"n_k": 1, "repeats": None}
    spec = GoalSpec.model_validate(declared)
    a, b, c = (effective_study(spec, Adjustments(), checkpoint) for checkpoint in ("A", "B", "C"))
    assert (a.ks["pca"], a.seeds, a.repeats, a.cells_per_patient) == ((20,), (1, 2), 10, 100)
    assert (b.ks["pca"], b.seeds, b.repeats, b.cells_per_patient) == ((20, 40), (1, 2, 3), 2, 1000)
    assert [entry.tag for entry in b.preprocess] == ["hvg_3000", "all_filtered_0p01_er20"]
    assert (c.ks["pca"], c.seeds, c.repeats, c.cells_per_patient) == ((20, 40, 60), (1, 2, 3, 4, 5), 10, None)
    assert len(a.preprocess) == len(c.preprocess) == 4


def set_at(declared: dict[str, Any], place: str, value: object) -> None:
    """Put a value at a dotted place."""
    *path, last = (int(part) if part.isdigit() else part for part in place.split("."))
    inner: Any = declared
    for part in path:
        inner = inner[part]
    inner[last] = value


def refused(source: str | dict[str, Any]) -> str:
    """Return the text of the refusal."""
    with pytest.raises(Refusal) as caught:
        parse_spec(source)
    assert caught.value.code == "invalid_spec"
    return str(caught.value)


def only_fault(declared: dict[str, Any]) -> str:
    """Return the only fault's line."""
    text = refused(declared)
    assert "the goal spec has 1 fault:" in text, text
    return text


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"method": "hvg", "batch": "source"}, {"method": "hvg", "batch": "sample"}),
        ({"method": "hvg", "batch": "a b"}, {"method": "hvg", "batch": "a_b"}),
        (
            {"method": "all_filtered", "min_cells_fraction": 0.01},
            {"method": "all_filtered", "min_cells_fraction": 0.0100001},
        ),
        ({"method": "hybrid"}, {"method": "hybrid", "min_cells_fraction": 0.02}),
        ({"method": "deg_weak_screen"}, {"method": "deg_weak_screen", "min_genes": 600}),
        ({"method": "two_stage"}, {"method": "two_stage", "min_cells_fraction": 0.02}),
        ({"method": "gene_list", "path": "a/x.gmt"}, {"method": "gene_list", "path": "b/x.gmt"}),
    ],
)
def test_another_parameter_is_another_name(one: dict[str, object], other: dict[str, object]) -> None:
    """A preprocess is told apart by its name in paths, tables and diffs, so the name holds every parameter."""
    columns = {"source": "source", "sample": "sample", "odd": "a b", "even": "a_b"}
    data = {"path": "x", "patient": "p", "label": {"column": "l", "positive": "a", "negative": "b"}, "columns": columns}
    spec = parse_spec({"objective": "o", "data": data, "preprocess": [one, other]})  # type: ignore[dict-item]  # JSON
    assert len({entry.tag for entry in spec.preprocess}) == 2


def test_all_of_a_checkpoint_is_another_study_than_its_default() -> None:
    """An explicit null says all cells; it tells two specs apart, and comes back from what was dumped."""
    silent, everything = (
        parse_spec(EXAMPLE_WITH.replace("SAID", said)) for said in ("n_k: 3", "n_k: 3, cells_per_patient: null")
    )
    assert spec_differences(silent, everything) == ["checkpoints.B.cells_per_patient: not said -> not set"]
    for spec, cells in ((silent, 1000), (everything, None)):
        again = parse_spec(spec.model_dump(mode="json", exclude_none=True))
        assert again == spec
        assert effective_study(again, Adjustments(), "B").cells_per_patient == cells
    assert silent.model_dump(mode="json") != everything.model_dump(mode="json")


EXAMPLE_WITH = (
    "objective: x\ndata: {path: a.h5ad, patient: p, label: {column: c, positive: 1, negative: 0}}\n"
    "checkpoints: {B: {SAID}}\n"
)
