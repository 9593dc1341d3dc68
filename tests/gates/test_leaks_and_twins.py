"""Columns that tell the label, labels that coincide with their source, cells that are there twice."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy.stats import contingency

from stagewright.gates.association import cramers_v, separation, strength_within
from stagewright.gates.confounded_label import confounded_label
from stagewright.gates.donor_identity import donor_identity
from stagewright.gates.leak_columns import leak_columns
from stagewright.gates.protocol import Finding, GateContext
from stagewright.gates.twin_cells import exact_twins, near_twins, shared_barcodes
from stagewright.state.spec.preprocess import Hvg

StepOf = Callable[[str], GateContext]
Reseal = Callable[[GateContext], GateContext]

CACHE = "B/analysis/preprocess_cache/hvg_40/adata_with_dr.h5ad"


def _h5ad(step: GateContext, change: Callable[[anndata.AnnData], Any]) -> None:
    data = anndata.read_h5ad(step.run / CACHE)
    data = change(data) or data
    data.write_h5ad(step.run / CACHE)


def _named(step: GateContext, **columns: str) -> GateContext:
    scope = step.request.scope.model_copy(update={"columns": columns})
    return replace(step, request=step.request.model_copy(update={"scope": scope}))


def _severities(found: list[Finding]) -> list[str]:
    return [finding.severity for finding in found]


def _add_columns(data: anndata.AnnData) -> None:
    rng = np.random.default_rng(0)
    cancer = (data.obs["CN.label"] == "cancer").to_numpy()
    data.obs["annotation"] = np.where(cancer, "blast", np.where(rng.random(cancer.size) < 0.5, "T", "B"))
    data.obs["lane"] = rng.choice(["L1", "L2"], cancer.size)
    data.obs["score"] = cancer + rng.normal(scale=0.1, size=cancer.size)
    data.obs["quality"] = rng.normal(size=cancer.size)


@pytest.mark.parametrize(
    ("column", "severity"), [("annotation", "warn"), ("score", "warn"), ("lane", "pass"), ("quality", "pass")]
)
def test_a_column_that_tells_the_label_is_named(column: str, severity: str, step_of: StepOf) -> None:
    """Levels or numbers, whichever way; a column that says nothing passes."""
    step = _named(step_of("plan1b"), some=column)
    _h5ad(step, _add_columns)
    found = [*leak_columns(step)]
    assert _severities(found) == [severity]
    if severity == "warn":
        assert found[0].subject == column
        assert "To pass:" in found[0].reason


def test_a_design_column_that_tells_the_label_fails(step_of: StepOf) -> None:
    """Genes ranked within the levels of the label in other words have seen it."""
    step = _named(step_of("plan1b"), batch="annotation")
    _h5ad(step, _add_columns)
    entry = Hvg(method="hvg", n_top_genes=40, batch="batch")
    study = step.request.study.model_copy(update={"preprocess": (entry,)})
    request = step.request.model_copy(update={"study": study})
    (step.run / CACHE).parent.rename((step.run / CACHE).parent.with_name(entry.tag))
    (found,) = leak_columns(replace(step, request=request))
    assert (found.subject, found.severity) == ("annotation", "fail")
    assert "batch" in found.measured


def test_a_label_that_coincides_with_its_batch_is_a_warning(step_of: StepOf) -> None:
    """The clean step passes with a figure for each column; a batch for each class warns and is named by its role."""
    step = step_of("plan1b")
    (clean,) = confounded_label(step)
    assert (clean.severity, "patient" in clean.measured) == ("pass", True)
    step = _named(step, batch="annotation")
    _h5ad(step, _add_columns)
    (found,) = confounded_label(step)
    assert (found.subject, found.severity) == ("batch (annotation)", "warn")


def test_associations_agree_with_their_definitions() -> None:
    """Cramer's V against scipy's, whose bias is that of Bergsma's correction; Somers' D by counting pairs."""
    rng = np.random.default_rng(1)
    label = rng.random(5000) < 0.4
    levels = np.where(rng.random(5000) < 0.6, np.where(label, "x", "y"), rng.choice(["x", "y", "z"], 5000))
    table = pd.crosstab(levels, label).to_numpy()
    plain = contingency.association(table, method="cramer")
    assert cramers_v(levels.astype(object), label) == pytest.approx(plain, abs=1e-3)
    assert cramers_v(np.where(label, "a", "b").astype(object), label) == pytest.approx(1.0)
    values = rng.normal(size=200).round(1)
    above = values[label[:200]][:, None] - values[~label[:200]][None, :]
    expected = abs((above > 0).mean() - (above < 0).mean())
    assert separation(values, label[:200]) == pytest.approx(expected)


def test_patients_with_few_cells_of_a_class_say_nothing() -> None:
    """Ten of each are asked for, and the median is over those that have them."""
    label = np.array([True] * 12 + [False] * 12 + [True] * 2 + [False] * 20)
    patient = np.array(["a"] * 24 + ["b"] * 22, dtype=object)
    column = pd.Series(np.where(label, "x", "y"))
    assert strength_within(column, label, patient) == (pytest.approx(1.0), 1)


def _repeat_cells(number: int, donor: str) -> Callable[[anndata.AnnData], anndata.AnnData]:
    def change(data: anndata.AnnData) -> anndata.AnnData:
        again = data[data.obs["donor"] == "P1"][:number].copy()
        again.obs_names = [f"again_{name}" for name in again.obs_names]
        again.obs["donor"] = donor
        joined = anndata.concat([data, again], merge="same")
        joined.obs["donor"] = joined.obs["donor"].astype("category")
        return joined

    return change


@pytest.mark.parametrize(("number", "donor", "severity"), [(1, "P2", "warn"), (8, "P2", "fail"), (8, "P1", "fail")])
def test_a_cell_that_is_there_twice_is_found(number: int, donor: str, severity: str, step_of: StepOf) -> None:
    """Under another donor or the same one; one of many is a warning, more than the bound a failure."""
    step = step_of("plan1b")
    request = step.request.model_copy(update={"gates": {"donor_identity": {"at_most": 0.05}}})
    _h5ad(step, _repeat_cells(number, donor))
    found = [*donor_identity(replace(step, request=request))]
    assert _severities(found) == [severity]
    assert ("another donor" in found[0].subject) is (donor == "P2")
    assert "again_P1_0" in found[0].measured


def test_twins_are_told_from_lookalikes() -> None:
    """Exact copies, copies with a little noise, and cells that are merely alike."""
    rng = np.random.default_rng(2)
    embeddings = rng.normal(size=(300, 24))
    depth = rng.integers(500, 5000, (300, 2)).astype(float)
    patient, cells = np.arange(300) % 3, np.array([f"c{number}" for number in range(300)], dtype=object)
    for found in (exact_twins(embeddings, depth, cells, patient), near_twins(embeddings, depth, cells, patient)):
        assert found is not None
        assert (found.within, found.between, found.example) == (0, 0, None)
    embeddings[10], depth[10] = embeddings[20], depth[20]
    embeddings[31], depth[31] = embeddings[41] + rng.normal(scale=1e-3, size=24), depth[41] * 1.01
    embeddings[52] = embeddings[62] + rng.normal(scale=0.3, size=24)
    exact, near = exact_twins(embeddings, depth, cells, patient), near_twins(embeddings, depth, cells, patient)
    assert near is not None
    assert (exact.within, exact.between, exact.example) == (0, 2, ("c10", "c20"))
    assert (near.within, near.between) == (0, 4)
    other_depth = depth * np.linspace(1, 9, 300)[:, None]
    assert exact_twins(embeddings, other_depth, cells, patient).between == 0
    assert near_twins(embeddings[:, :10], depth, cells, patient) is None


def test_libraries_that_share_barcodes_are_told() -> None:
    """The share is of the smaller library; names without a barcode are no library."""
    rng = np.random.default_rng(3)
    codes = ["".join(rng.choice(list("ACGT"), 16)) for _ in range(100)]
    cells = np.array([f"s1_{code}-1" for code in codes[:60]] + [f"s2_{code}-1" for code in codes[40:]], dtype=object)
    donors = np.array(["d1"] * 60 + ["d2"] * 60, dtype=object)
    assert shared_barcodes(cells, donors) == {("d1", "d2"): pytest.approx(20 / 60)}
    assert shared_barcodes(np.array(["cell_1", "cell_1"], dtype=object), np.array(["a", "b"], dtype=object)) == {}
