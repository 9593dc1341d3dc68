"""What a file says about itself, and how a study's cells are counted, from obs alone."""

import json
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from stagewright.stages.cohort.inspect_h5ad import inspect_h5ad
from stagewright.stages.cohort.open_h5ad import CohortMismatch, CohortUnreadable
from stagewright.stages.cohort.tabulate import tabulate
from stagewright.state.spec.data import DataScope

SCOPE = {
    "path": "small.h5ad",
    "patient": "patient",
    "label": {"column": "label", "positive": "cancer", "negative": "normal"},
}
LABELS = ["cancer", "normal", "normal", "unclear", "cancer", "normal", None, "normal"]


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Eight cells of two patients with every kind of column, a layer and raw."""
    obs = pd.DataFrame(
        {
            "patient": pd.Categorical(["p1", "p1", "p1", "p1", "p2", "p2", "p2", None]),
            "label": pd.Categorical(LABELS),
            "visit": [1, 2, 1, 2, 1, 2, 1, 2],
            "visit_with_gaps": [1.0, 2.0, np.nan, 2.0, 1.0, 2.0, 1.0, 2.0],
            "site": ["a", "b", "a", "b", "a", "b", "a", "b"],
            "passed": [True, True, True, True, True, False, True, True],
        },
        index=[f"cell{number}" for number in range(8)],
    )
    counts = sparse.random(8, 5, density=0.5, format="csr", dtype=np.float32, random_state=np.random.default_rng(0))
    data = anndata.AnnData(X=counts, obs=obs, var=pd.DataFrame(index=[f"gene{number}" for number in range(5)]))
    data.layers["counts"] = counts.toarray()
    data.raw = data.copy()
    path = tmp_path / "small.h5ad"
    data.write_h5ad(path)
    return path


def test_facts_of_a_file(small: Path) -> None:
    """Shapes, storage, columns, levels and missing values are told, in JSON types."""
    facts = json.loads(json.dumps(inspect_h5ad(small)))
    assert (facts["n_obs"], facts["n_vars"]) == (8, 5)
    assert facts["size_bytes"] == small.stat().st_size
    assert [(one["location"], one["encoding"], one["dtype"]) for one in facts["matrices"]] == [
        ("X", "csr", "float32"),
        ("layers/counts", "dense", "float32"),
        ("raw", "csr", "float32"),
    ]
    columns = {column["name"]: column for column in facts["obs_columns"]}
    assert {name: column["kind"] for name, column in columns.items()} == {
        "patient": "categorical",
        "label": "categorical",
        "visit": "integer",
        "visit_with_gaps": "real",
        "site": "categorical",
        "passed": "boolean",
    }
    assert columns["label"]["n_missing"] == 1
    assert columns["label"]["levels"] == [
        {"level": "normal", "n_cells": 4},
        {"level": "cancer", "n_cells": 2},
        {"level": "unclear", "n_cells": 1},
    ]
    assert facts["obs_names_unique"]
    assert facts["var_names_unique"]


def test_levels_are_bounded(small: Path) -> None:
    """A column with many levels lists only the most frequent ones but counts them all."""
    column = next(one for one in inspect_h5ad(small, max_levels=1)["obs_columns"] if one["name"] == "label")
    assert column["n_unique"] == 3
    assert [level["level"] for level in column["levels"]] == ["normal"]


def test_repeated_gene_names_are_named(small: Path) -> None:
    """Names that occur twice are told, with examples."""
    with h5py.File(small, "r+") as file:
        index = file["var"]["_index"]
        index[1] = index[0]
    facts = inspect_h5ad(small)
    assert not facts["var_names_unique"]
    assert facts["repeated_var_names"] == ["gene0"]


def test_no_matrix_is_read(small: Path) -> None:
    """A file whose stored values are gone is still inspected and tabulated: X's data are never touched."""
    with h5py.File(small, "r+") as file:
        del file["X/data"]
        file["X"].create_dataset("data", shape=(10**15,), dtype="float32", chunks=(1024,))
    assert inspect_h5ad(small)["matrices"][0]["n_stored"] == 10**15
    assert tabulate(small, DataScope.model_validate(SCOPE))["n_kept"] == 5


def break_file(path: Path, how: str) -> Path:
    """Damage a file in one way."""
    if how == "missing":
        return path.with_name("absent.h5ad")
    if how == "folder":
        return path.parent
    if how == "text":
        path.write_text("gene,count\n")
    if how == "empty":
        path.write_bytes(b"")
    if how == "truncated":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    if how == "no X":
        with h5py.File(path, "r+") as file:
            del file["X"], file["layers"], file["raw"]
    return path


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("missing", "no such file"),
        ("folder", "zarr"),
        ("text", "not an HDF5 file"),
        ("empty", "not an HDF5 file"),
        ("truncated", "cut short"),
        ("no X", "has no X"),
    ],
)
def test_unreadable_files_give_one_clear_error(small: Path, how: str, message: str) -> None:
    """Each way in which a file can be broken gives an error that names the file and the fault."""
    path = break_file(small, how)
    with pytest.raises(CohortUnreadable, match=message) as caught:
        inspect_h5ad(path)
    assert str(path) in str(caught.value)
    with pytest.raises(CohortUnreadable, match=message):
        tabulate(path, DataScope.model_validate(SCOPE))


def test_counts_per_patient_match_a_hand_count(small: Path) -> None:
    """Cells with another label, no label or no patient are left out, and said to be."""
    scope = DataScope.model_validate(SCOPE | {"timepoint": {"column": "visit", "keep": [1, 2]}})
    counts = tabulate(small, scope)
    assert counts["patients"] == [
        {
            "patient": "p1",
            "positive": 1,
            "negative": 2,
            "timepoints": {"1": {"positive": 1, "negative": 1}, "2": {"positive": 0, "negative": 1}},
        },
        {
            "patient": "p2",
            "positive": 1,
            "negative": 1,
            "timepoints": {"1": {"positive": 1, "negative": 0}, "2": {"positive": 0, "negative": 1}},
        },
    ]
    assert (counts["n_obs"], counts["n_kept"]) == (8, 5)
    assert (counts["n_other_label"], counts["n_without_patient"]) == (2, 1)


def test_filters_tell_what_they_removed(small: Path) -> None:
    """Filters apply in their order, then the time point; numbers and truth values are compared as written."""
    scope = DataScope.model_validate(
        SCOPE
        | {
            "timepoint": {"column": "visit_with_gaps", "keep": [1]},
            "filters": [{"column": "passed", "keep": [True]}, {"column": "patient", "drop": ["p2"]}],
        }
    )
    counts = tabulate(small, scope)
    assert counts["steps"] == [
        {"column": "passed", "n_before": 8, "n_after": 7},
        {"column": "patient", "n_before": 7, "n_after": 5},
        {"column": "visit_with_gaps", "n_before": 5, "n_after": 1},
    ]
    assert [(one["patient"], one["positive"], one["negative"]) for one in counts["patients"]] == [("p1", 1, 0)]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"patient": "patent"}, "did you mean 'patient'"),
        ({"columns": {"batch": "nowhere"}}, "no column 'nowhere'"),
        ({"label": {"column": "label", "positive": "tumour", "negative": "normal"}}, "cancer, normal, unclear"),
        ({"filters": [{"column": "site", "keep": ["c"]}]}, "its levels are: a, b"),
        ({"filters": [{"column": "site", "drop": ["c"]}]}, "its levels are: a, b"),
        ({"timepoint": {"column": "visit", "keep": [3]}}, "its levels are: 1, 2"),
    ],
)
def test_what_is_not_in_the_file_is_named(small: Path, changed: dict[str, object], message: str) -> None:
    """A wrong column or level gives an error that says what is there."""
    with pytest.raises(CohortMismatch, match=message):
        tabulate(small, DataScope.model_validate(SCOPE | changed))
