"""Reliability table and recalibration line."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression

from stagewright.stages.classify.calibration import calibration_line, reliability
from stagewright.stages.classify.metrics import binary_metrics


def _drawn(n: int, slope: float, level: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    decision = rng.normal(size=n) * 2
    return decision, rng.random(n) < expit(slope * decision + level)


def test_the_table_is_that_of_scikit_learn_for_equal_classes() -> None:
    """With as many positive as negative cells every cell has the same weight; the error follows from the table."""
    rng = np.random.default_rng(0)
    y = np.repeat([True, False], 200)
    decision = rng.normal(size=400) + y
    chance = expit(decision)
    table = reliability(chance, y)
    share, mean = calibration_curve(y, chance, n_bins=10)
    filled = table.n_cells > 0
    np.testing.assert_allclose(table.share_positive[filled], share, atol=1e-12)
    np.testing.assert_allclose(table.mean_probability[filled], mean, atol=1e-12)
    error = np.nansum(table.weight * np.abs(table.mean_probability - table.share_positive))
    assert binary_metrics(decision, y).calibration_error == pytest.approx(error, abs=1e-12)
    assert table.weight.sum() == pytest.approx(1.0)


@pytest.mark.parametrize(("slope", "level"), [(1.0, 0.0), (0.3, -1.0), (2.0, 1.5)])
def test_the_line_is_that_of_scikit_learn(slope: float, level: float) -> None:
    """Weighted logistic regression on the decision value without a penalty, within 1e-5."""
    decision, y = _drawn(800, slope, level, 3)
    oracle = LogisticRegression(C=1e12, class_weight="balanced", tol=1e-12, max_iter=10_000)
    oracle.fit(decision[:, np.newaxis], y)
    found = calibration_line(decision, y)
    assert found == pytest.approx((oracle.coef_[0, 0], oracle.intercept_[0]), abs=1e-5)
    shifted = calibration_line(1e4 * decision, y)
    assert shifted[0] == pytest.approx(found[0] / 1e4, rel=1e-8)


@pytest.mark.parametrize(
    ("decision", "y"),
    [
        ([1.0, 2.0, 3.0], [True, True, True]),
        ([0.0, 0.0, 0.0, 0.0], [True, False, True, False]),
        ([-1.0, -2.0, 1.0, 2.0], [False, False, True, True]),
        ([-1.0, -2.0, 1.0, 2.0], [True, True, False, False]),
    ],
)
def test_without_a_finite_solution_there_is_no_line(decision: list[float], y: list[bool]) -> None:
    """One class, equal values, or classes that the values separate."""
    assert np.isnan(calibration_line(np.array(decision), np.array(y))).all()
