"""Selections of genes that the cells in scope cannot carry are refused before anything runs."""

# Tables, JSON and libraries without types: what is read from them is compared, not computed with.
# pyright: reportArgumentType=false

import pytest

from stagewright.stages.preprocess import hvg, wilcoxon
from stagewright.state.refusals import Refusal
from stagewright.state.spec import parse_spec
from stagewright.state.survey import PatientCells, Survey
from stagewright.tools import gene_selection
from stagewright.tools.feasibility import supervised_warnings
from stagewright.tools.gene_selection import check_gene_selection

DATA = {"path": "x.h5ad", "patient": "patient", "label": {"column": "l", "positive": "a", "negative": "b"}}


def _check(entry: dict[str, object], *cells: tuple[int, int]) -> None:
    patients = tuple(
        PatientCells(patient=f"p{number}", positive=positive, negative=negative)
        for number, (positive, negative) in enumerate(cells)
    )
    spec = parse_spec({"objective": "x", "data": DATA, "preprocess": [{"method": "all_filtered"}], "reference": entry})
    check_gene_selection(spec, Survey(patients=patients))


def test_a_wilcoxon_test_needs_ten_cells_of_each_class() -> None:
    """Counted over all patients, or over those with both classes when it compares within patients."""
    _check({"method": "deg_weak_screen"}, (9, 30), (1, 30))
    with pytest.raises(Refusal, match="reference: deg_weak_screen compares 9 positive with 60 negative cells; the"):
        _check({"method": "deg_weak_screen"}, (9, 30), (0, 30))
    with pytest.raises(Refusal, match="two_stage compares 4 positive with 5 negative cells in patients with both"):
        _check({"method": "two_stage", "within": "patient"}, (4, 5), (90, 0), (0, 90))


def test_variable_genes_by_patient_need_three_cells_of_each() -> None:
    """Patients with fewer are named; without batches they are no matter."""
    _check({"method": "hvg"}, (1, 0), (90, 90))
    with pytest.raises(Refusal, match=r"needs 3 cells of each, and these have fewer: p0 \(1\), p2 \(2\)"):
        _check({"method": "hvg", "batch": "patient"}, (1, 0), (90, 90), (1, 1))


def test_the_bounds_are_those_of_the_selections() -> None:
    """Planning may not import the numerical code, so the two are compared here."""
    assert gene_selection.MIN_CLASS_CELLS == wilcoxon.MIN_CLASS_CELLS
    assert gene_selection.MIN_BATCH_CELLS == hvg.MIN_BATCH_CELLS


def test_labels_in_the_reference_are_warned_of() -> None:
    """K is then chosen on genes that the labels chose; a reference without labels is no matter."""
    spec = {"objective": "x", "data": DATA, "preprocess": [{"method": "hvg"}], "stages": ["plan0"]}
    assert supervised_warnings(parse_spec(spec)) == []
    (warning,) = supervised_warnings(parse_spec(spec | {"reference": {"method": "two_stage"}}))
    assert warning.startswith("two_stage_0p01_3000 chooses genes by the labels, and Plan 0 chooses K on them")
