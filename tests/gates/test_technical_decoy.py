"""The technical decoy: recomputed, compared patient by patient, and not a weaker one than promised."""

from collections.abc import Callable
from dataclasses import replace

import h5py
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from stagewright.gates.__main__ import run_gates
from stagewright.gates.paired_interval import paired_interval
from stagewright.gates.protocol import Finding, GateContext
from stagewright.gates.ridge import ridge_decision
from stagewright.gates.technical_decoy import judged, technical_decoy
from stagewright.gates.technical_features import technical_features

StepOf = Callable[[str], GateContext]
Reseal = Callable[[GateContext], GateContext]

GRID = "B/analysis/classification_grid"
CACHE = "B/analysis/preprocess_cache/hvg_40/adata_with_dr.h5ad"


def _bad(step: GateContext) -> list[Finding]:
    return [finding for finding in run_gates(step.asked) if finding.severity != "pass"]


def _decoy(step: GateContext, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    path = step.run / GRID / "decoy_oof.parquet"
    change(pd.read_parquet(path)).to_parquet(path, index=False)


def _weak(table: pd.DataFrame) -> pd.DataFrame:
    decision = np.random.default_rng(3).normal(size=len(table))
    return table.assign(decision=decision, probability=1 / (1 + np.exp(-decision)))


def _other_folds(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(fold=(table["fold"] + 1) % 3)


def _half(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["repeat"] == 0]


def _flatter(step: GateContext) -> None:
    path = step.run / GRID / "decoy.csv"
    table = pd.read_csv(path)
    table.assign(auc_mean=table["auc_mean"] - 0.1).to_csv(path, index=False)


@pytest.mark.parametrize(
    "spoil",
    [lambda step: _decoy(step, _other_folds), lambda step: _decoy(step, _half), _flatter],
    ids=["other folds", "one repeat", "edited table"],
)
def test_a_decoy_that_is_not_the_promised_one_fails(
    spoil: Callable[[GateContext], None], step_of: StepOf, reseal: Reseal
) -> None:
    """Other folds, fewer cells, or a table that does not follow from the predictions: only its own gate sees it."""
    step = step_of("plan1b")
    spoil(step)
    found = _bad(reseal(step))
    assert {(finding.gate, finding.severity) for finding in found} == {("technical_decoy", "fail")}
    assert all("To pass:" in finding.reason for finding in found)


def test_a_decoy_that_was_made_weak_is_found_by_fitting_it_again(step_of: StepOf, reseal: Reseal) -> None:
    """Depth tells the label here; predictions that do not know it are not of depth."""
    step = step_of("plan1b")
    _depth_follows_label(step)
    _decoy(step, _weak)
    found = [finding for finding in _bad(reseal(_rescored(step))) if finding.gate == "technical_decoy"]
    assert {finding.severity for finding in found} == {"fail"}
    assert any("from depth and technical columns" in finding.threshold for finding in found)


def _depth_follows_label(step: GateContext) -> None:
    with h5py.File(step.run / CACHE, "r+") as file:
        codes = file["obs/CN.label/codes"][()]
        names = [name.decode() for name in file["obs/CN.label/categories"][()]]
        size = file["obs/stagewright_library_size"][()]
        file["obs/stagewright_library_size"][...] = np.where(codes == names.index("cancer"), size + 8000, size)


def _rescored(step: GateContext) -> GateContext:
    """Write `decoy.csv` as a stage would that had made the predictions."""
    predicted = pd.read_parquet(step.run / GRID / "decoy_oof.parquet")
    by_repeat = pd.Series(
        {
            key: _mann_whitney(one["label"].to_numpy(bool), one["decision"].to_numpy())
            for key, one in predicted.groupby(["patient", "repeat"])
        }
    ).rename_axis(["patient", "repeat"])
    path = step.run / GRID / "decoy.csv"
    table = pd.read_csv(path)
    table["auc_mean"] = table["patient"].map(by_repeat.groupby("patient").mean())
    table.to_csv(path, index=False)
    return step


def _mann_whitney(label: np.ndarray, score: np.ndarray) -> float:
    difference = score[label][:, None] - score[~label][None, :]
    return float((difference > 0).mean() + 0.5 * (difference == 0).mean())


@pytest.mark.parametrize(
    ("advantage", "gates", "severity"),
    [
        ((0.1, 0.2, 0.15, 0.12), {}, "pass"),
        ((0.1, -0.1, 0.05, -0.02), {}, "warn"),
        ((-0.1, -0.2, -0.15, -0.05), {}, "fail"),
        ((0.0, 0.0, 0.0, 0.0), {}, "fail"),
        ((0.1,), {}, "pass"),
        ((-0.1,), {}, "warn"),
        ((0.1, 0.2, 0.15, 0.12), {"at_least": 0.15}, "fail"),
        ((0.1, -0.1, 0.05, -0.02), {"at_least": 0.0}, "fail"),
    ],
)
def test_the_decoy_fails_a_step_only_where_it_is_surely_as_good(
    advantage: tuple[float, ...], gates: dict[str, float], severity: str, step_of: StepOf
) -> None:
    """An interval that holds 0 is a warning, one that excludes an advantage a failure; a bound of the spec binds."""
    patients = [f"P{number}" for number in range(len(advantage))]
    theirs = pd.Series(0.7, index=patients)
    step = step_of("plan1b")
    if gates:
        step = replace(step, request=step.request.model_copy(update={"gates": {"technical_decoy": gates}}))
    assert judged(step, "hvg_40/pca/l1", theirs + np.array(advantage), theirs).severity == severity


def test_the_clean_step_says_what_it_compared(step_of: StepOf) -> None:
    """Both medians, the difference and its interval are in the finding."""
    (found,) = technical_decoy(step_of("plan1b"))
    assert found.severity == "pass"
    assert "over 4 patients" in found.measured


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """Of 300 simulated cohorts of 15 patients, about 95 % of the intervals hold the true median difference."""
    rng = np.random.default_rng(0)
    held = []
    for _ in range(300):
        theirs = rng.uniform(0.5, 0.8, 15)
        _, low, high = paired_interval(theirs + rng.normal(0.05, 0.04, 15), theirs)
        held.append(low <= 0.05 <= high)
    assert 0.90 <= np.mean(held) <= 1.0
    assert np.isnan(paired_interval(np.array([0.9]), np.array([0.5]))[1])


def test_features_are_the_depth_and_the_levels_that_vary() -> None:
    """Two columns of depth, one for each level of a column that varies, none for one that does not."""
    cells = pd.DataFrame(
        {
            "library_size": [9.0, 99.0, 999.0],
            "detected_genes": [1.0, 2.0, 3.0],
            "role batch": ["a", "b", "a"],
            "role site": ["x", "x", "x"],
        }
    )
    features = technical_features(cells)
    np.testing.assert_allclose(features[:, 0], np.log([10, 100, 1000]))
    assert features[:, 2:].tolist() == [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]


@pytest.mark.parametrize("alpha", [0.01, 1.0, 1000.0])
def test_ridge_is_that_of_scikit_learn(alpha: float) -> None:
    """Decisions agree to 1e-4, with few and many features, a constant one and classes of unequal size."""
    rng = np.random.default_rng(4)
    for n_features in (2, 12):
        features = rng.normal(size=(160, n_features)) * 50 + 1000
        features[:, -1] = 3.0
        label = features[:, 0] + 40 * rng.normal(size=160) > 1030
        train, test = slice(0, 120), slice(120, 160)
        scale = StandardScaler().fit(features[train])
        theirs = LogisticRegression(C=1 / alpha, class_weight="balanced", tol=1e-10, max_iter=5000)
        theirs.fit(scale.transform(features[train]), label[train])
        expected = theirs.decision_function(scale.transform(features[test]))
        found = ridge_decision(features[train], label[train], features[test], alpha)
        np.testing.assert_allclose(found, expected, atol=1e-4)
