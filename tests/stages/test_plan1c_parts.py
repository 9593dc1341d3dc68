"""How Plan 1C splits cells: folds, groups, and patients that cannot be scored."""

# Tables, JSON and libraries without types: what is read from them is compared, not computed with.
# pyright: reportArgumentType=false

import numpy as np
import pandas as pd
import pytest

from stagewright.stages.cohort.depth import Depth
from stagewright.stages.plan1_embeddings import EmbeddedCohort
from stagewright.stages.plan1c_parts import split
from stagewright.state.spec import Adjustments, EffectiveStudy, effective_study, parse_spec

CELLS = {"A": (10, 20), "B": (3, 30), "C": (1, 12), "D": (0, 9), "E": (15, 0), "F": (1, 0)}
"""Positive and negative cells: enough, fewer than folds, one positive cell, one class, the other, a single cell."""


def _cohort(cells: dict[str, tuple[int, int]], sample: list[str] | None = None) -> EmbeddedCohort:
    patients = [name for name, (positive, negative) in cells.items() for _ in range(positive + negative)]
    positive = np.concatenate([np.arange(sum(counts)) < counts[0] for counts in cells.values()])
    obs = pd.DataFrame({"patient": patients}, index=[f"c{number}" for number in range(len(patients))])
    if sample is not None:
        obs["sample"] = sample
    depth = Depth(np.ones(len(obs)), np.ones(len(obs), dtype=np.int64))
    return EmbeddedCohort("hvg", supervised=False, obs=obs, positive=positive, scores={}, depth=depth)


def _study(folds: int = 5, group: str = "none") -> EffectiveStudy:
    data = {
        "path": "x.h5ad",
        "patient": "patient",
        "label": {"column": "label", "positive": "1", "negative": "0"},
        "columns": {"sample": "sample"},
    }
    classifier = {"cv": {"folds": folds, "repeats": 2, "group": group}}
    return effective_study(parse_spec({"objective": "t", "data": data, "classifier": classifier}), Adjustments(), "C")


def test_alone_patients_get_fewer_folds_or_a_reason() -> None:
    """Fewer positive cells than folds mean fewer folds; one positive cell, one class, or one cell mean none."""
    found = split(_cohort(CELLS), _study(), "patient", "per_patient", "hvg/pca")
    assert [(part.name, part.n_folds) for part in found.parts] == [("A", 5), ("B", 3)]
    assert {item.patient: item.reason for item in found.skipped} == {
        "C": "1 positive cell, and 2 folds need at least 2",
        "D": "only one class: 0 positive cells",
        "E": "only one class: 0 negative cells",
        "F": "only one class: 0 negative cells",
    }
    assert found.notes == (
        "hvg/pca/per_patient: B: 3 folds instead of 5 (3 positive cells allow 3 folds instead of 5)",
    )
    assert {item.where for item in found.skipped} == {"hvg/pca/per_patient"}


def test_together_every_cell_is_predicted_and_patients_with_both_classes_scored() -> None:
    """One malignant cell is enough for an AUC of its own there."""
    cohort = _cohort(CELLS)
    found = split(cohort, _study(), "patient", "pooled", "hvg/pca")
    (part,) = found.parts
    assert part.rows.size == len(cohort.obs)
    assert [patient.name for patient, _ in part.scored] == ["A", "B", "C"]
    assert [item.patient for item in found.skipped] == ["D", "E", "F"]


def test_groups_stay_whole_and_folds_are_as_many_as_they_allow() -> None:
    """Of four patients with positive cells four folds can be made, whatever was asked for."""
    found = split(_cohort(CELLS), _study(), "patient", "grouped", "hvg/pca")
    (part,) = found.parts
    names = _cohort(CELLS).obs["patient"].to_numpy()
    for folds in part.folds:
        assert all(len(set(folds[names == name])) == 1 for name in CELLS)
    assert part.n_folds <= 4
    assert "folds instead of 5" in found.notes[0]
    same = split(_cohort(CELLS), _study(group="patient"), "patient", "pooled", "hvg/pca")
    np.testing.assert_array_equal(same.parts[0].folds, part.folds)


def test_where_nothing_can_be_split_every_patient_has_the_reason() -> None:
    """A single patient allows no grouped folds, single classes no scores."""
    alone = split(_cohort({"A": (10, 10)}), _study(), "patient", "grouped", "hvg/pca")
    assert not alone.parts
    assert "1 positive group" in alone.skipped[0].reason
    single = split(_cohort({"A": (10, 0), "B": (0, 10)}), _study(), "patient", "pooled", "hvg/pca")
    assert not single.parts
    assert {item.reason for item in single.skipped} == {"no patient has cells of both classes"}
    nobody = split(_cohort({"A": (10, 0), "B": (0, 10)}), _study(), "patient", "per_patient", "hvg/pca")
    assert not nobody.parts


def test_other_groups_hold_within_a_patient_too() -> None:
    """Samples of one patient stay whole; a cell without a sample is an error that says so."""
    sample = [f"s{number % 4}" for number in range(40)]
    cohort = _cohort({"A": (20, 20)}, sample)
    (part,) = split(cohort, _study(2, "sample"), "patient", "per_patient", "hvg/pca").parts
    for folds in part.folds:
        assert all(len(set(folds[np.array(sample) == name])) == 1 for name in set(sample))
    cohort.obs.iloc[0, 1] = None
    with pytest.raises(ValueError, match="1 cells have no sample"):
        split(cohort, _study(2, "sample"), "patient", "per_patient", "hvg/pca")
