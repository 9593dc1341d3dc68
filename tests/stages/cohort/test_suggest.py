"""Guesses for a goal spec, on simulated files and on the real ones where they are at hand."""

import json
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.stats import contingency

from stagewright.stages.cohort.association import cramers_v
from stagewright.stages.cohort.generate import generate_cohort
from stagewright.stages.cohort.guess_leaks import guess_leaks
from stagewright.stages.cohort.suggest import suggest

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"


def real(name: str) -> Path:
    """Give the path of a real file, or skip the test."""
    path = DATA / name
    if not path.exists():
        pytest.skip(f"real data are not here: {path}")
    return path


def write(path: Path, values: np.ndarray, obs: pd.DataFrame, **layers: np.ndarray) -> Path:
    """Write a small h5ad file."""
    obs = obs.set_index(pd.Index([f"cell{number}" for number in range(len(obs))]))
    var = pd.DataFrame(index=[f"gene{number}" for number in range(values.shape[1])])
    data = anndata.AnnData(X=sparse.csr_matrix(values), obs=obs, var=var)
    data.layers.update(layers)
    data.write_h5ad(path)
    return path


def test_the_built_in_cohort_is_understood(tmp_path: Path) -> None:
    """Every field of the built-in cohort is guessed as the example goal spec has it."""
    path = tmp_path / "cohort.h5ad"
    generate_cohort(path)
    guess = json.loads(json.dumps(suggest(path)))
    assert guess["patient"]["value"] == "patient"
    assert (guess["label"]["column"], guess["label"]["positive"], guess["label"]["negative"]) == (
        "CN.label",
        "cancer",
        "normal",
    )
    assert guess["timepoint"]["value"] == "timepoint_type"
    assert guess["timepoint_levels"] == ["Dx", "MRD"]
    assert guess["source"]["value"] == "source"
    assert guess["technology"]["value"] == "Tech"
    assert guess["cell_type"]["value"] == "predicted.annotation"
    assert [leak["column"] for leak in guess["leak_columns"]] == ["predicted.annotation"]
    assert guess["counts"]["value"] == "X"
    assert guess["k"]["value"] == [10, 20, 30]
    assert guess["warnings"] == []


def test_the_aml_file_is_understood() -> None:
    """Malignant against normal, `unclear` left out, and the columns made from the label are found."""
    guess = suggest(real("aml_vangalen_d0_dev.h5ad"))
    assert guess["patient"]["value"] == "patient"
    assert guess["label"]["column"] == "label"
    assert (guess["label"]["positive"], guess["label"]["negative"]) == ("malignant", "normal")
    assert guess["label"]["other_levels"] == ["unclear"]
    assert {"cell_type", "label_rf_round2"} <= {leak["column"] for leak in guess["leak_columns"]}
    assert guess["k"]["value"] == [20, 40, 60]


def test_the_kang_file_is_understood() -> None:
    """Stimulated against control; the time point, which is the label in other words, is not offered as one."""
    guess = suggest(real("kang_ifnb_2k.h5ad"))
    assert guess["patient"]["value"] == "patient"
    assert (guess["label"]["positive"], guess["label"]["negative"]) == ("stim", "ctrl")
    assert guess["timepoint"]["value"] is None
    assert "timepoint" in {leak["column"] for leak in guess["leak_columns"]}


def test_counts_are_found_in_a_layer(tmp_path: Path) -> None:
    """When X is normalised, the layer of whole numbers is offered."""
    counts = np.random.default_rng(0).poisson(1.0, size=(40, 20)).astype(np.float32)
    path = write(tmp_path / "data.h5ad", np.log1p(counts), pd.DataFrame({"donor": ["a", "b"] * 20}), counts=counts)
    guess = suggest(path)
    assert guess["counts"]["value"] == "layers/counts"
    assert guess["patient"]["value"] == "donor"


def test_nothing_is_made_up(tmp_path: Path) -> None:
    """A file without counts, patients or labels gets no guesses but reasons and warnings."""
    values = np.random.default_rng(0).normal(size=(40, 20)).astype(np.float32)
    guess = suggest(write(tmp_path / "data.h5ad", values, pd.DataFrame({"depth": values[:, 0]})))
    assert guess["patient"]["value"] is None
    assert guess["label"]["column"] is None
    assert guess["counts"]["value"] is None
    assert len(guess["warnings"]) == 2


def test_a_column_of_one_patient_each_is_no_leak(tmp_path: Path) -> None:
    """What belongs to a patient tells nothing within patients, so it is not called a leak."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(1.0, size=(400, 20)).astype(np.float32)
    patient = np.repeat(["a", "b", "c", "d"], 100)
    label = np.where(rng.random(400) < np.repeat([0.5, 0.5, 0.0, 0.0], 100), "tumor", "normal")
    obs = pd.DataFrame({"patient": patient, "label": label, "arm": np.repeat(["sick", "well"], 200), "called": label})
    guess = suggest(write(tmp_path / "data.h5ad", counts, obs))
    assert guess["label"]["column"] == "label"
    assert [leak["column"] for leak in guess["leak_columns"]] == ["called"]


def test_association_agrees_with_scipy() -> None:
    """Without the correction's effect (many cells, strong association) V agrees with scipy's to 1e-3."""
    rng = np.random.default_rng(0)
    left = rng.integers(4, size=50_000)
    right = np.where(rng.random(left.size) < 0.7, left % 3, rng.integers(3, size=left.size))
    expected = contingency.association(pd.crosstab(left, right).to_numpy(), method="cramer")
    assert cramers_v(pd.Series(left), pd.Series(right)) == pytest.approx(expected, abs=1e-3)


def test_many_levels_by_chance_are_no_association() -> None:
    """100 random levels over 400 cells: mean V is 0.5 plain, below 0.15 corrected (20 draws)."""
    rng = np.random.default_rng(0)
    draws = [(pd.Series(rng.integers(100, size=400)), pd.Series(rng.integers(2, size=400))) for _ in range(20)]
    plain = [contingency.association(pd.crosstab(left, right).to_numpy(), method="cramer") for left, right in draws]
    assert np.mean(plain) > 0.45
    assert np.mean([cramers_v(left, right) for left, right in draws]) < 0.15


def test_a_classifier_score_is_a_leak() -> None:
    """A number that ranks the classes apart is found whichever way it points; noise is not."""
    rng = np.random.default_rng(0)
    positive = pd.Series(rng.random(500) < 0.3)
    numbers = {"score": -2.0 * positive + rng.normal(size=500), "noise": pd.Series(rng.normal(size=500))}
    assert [leak["column"] for leak in guess_leaks({}, numbers, positive)] == ["score"]
