"""Metrics against scikit-learn's, to 1e-12."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit
from sklearn import metrics as oracle

from stagewright.stages.classify.metrics import BinaryMetrics, binary_metrics, probability, roc_auc


def _calibration_error(chance: np.ndarray, y: np.ndarray) -> float:
    """Go bin by bin over ten bins of equal width, both classes with half of the weight."""
    weight = np.where(y, 0.5 / y.sum(), 0.5 / (~y).sum())
    error = 0.0
    for number in range(10):
        inside = (chance >= number / 10) & ((chance < (number + 1) / 10) | (number == 9))
        if inside.any():
            mine = weight[inside]
            distance = np.average(chance[inside], weights=mine) - np.average(y[inside], weights=mine)
            error += mine.sum() * abs(distance)
    return float(error)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("ties", [False, True])
def test_all_columns_agree_with_scikit_learn(seed: int, *, ties: bool) -> None:
    """Every metric of every column equals scikit-learn's one column at a time, with and without ties."""
    generator = np.random.default_rng(seed)
    n = int(generator.integers(5, 300))
    y = generator.random(n) < generator.uniform(0.1, 0.9)
    y[:2] = [True, False]
    z = generator.normal(size=(n, 6)) + 0.5 * y[:, np.newaxis]
    z[:2] = [[1.0], [-1.0]]  # both classes are called, so that each precision is defined
    if ties:
        z = np.round(z)
    ours = binary_metrics(z, y)
    for m in range(z.shape[1]):
        called, chance = z[:, m] > 0, expit(z[:, m])
        expected = {
            "roc_auc": oracle.roc_auc_score(y, z[:, m]),
            "average_precision": oracle.average_precision_score(y, z[:, m]),
            "recall_positive": oracle.recall_score(y, called),
            "recall_negative": oracle.recall_score(y, called, pos_label=False),
            "precision_positive": oracle.precision_score(y, called),
            "precision_negative": oracle.precision_score(y, called, pos_label=False),
            "balanced_accuracy": oracle.balanced_accuracy_score(y, called),
            "brier": oracle.brier_score_loss(y, chance),
            "log_loss": oracle.log_loss(y, chance),
            "calibration_error": _calibration_error(chance, y),
        }
        assert set(expected) == set(BinaryMetrics.names())
        for name, value in expected.items():
            assert getattr(ours, name)[m] == pytest.approx(value, rel=0, abs=1e-12), name
    np.testing.assert_array_equal(roc_auc(z, y), ours.roc_auc)
    assert (ours.n_positive, ours.n_negative) == (y.sum(), (~y).sum())


def test_a_tie_at_zero_is_negative() -> None:
    """The null model (all logits 0) calls every cell negative; AUC is 0.5 and AP the share of positives."""
    y = np.array([True, False, False, False])
    null = binary_metrics(np.zeros(4), y)
    assert null.recall_positive == 0.0
    assert null.recall_negative == 1.0
    assert null.balanced_accuracy == 0.5
    assert null.roc_auc == 0.5
    assert null.average_precision == 0.25
    assert null.precision_negative == 0.75
    assert np.isnan(null.precision_positive)
    assert null.log_loss == pytest.approx(np.log(2), rel=1e-15)
    assert null.brier == 0.25


@pytest.mark.parametrize("positive", [True, False])
def test_one_class_leaves_the_comparisons_undefined(*, positive: bool) -> None:
    """With one class AUC, AP, balanced accuracy and the absent class's recall are NaN; the losses are defined."""
    y = np.full(5, positive)
    result = binary_metrics(np.linspace(-1, 1, 10).reshape(5, 2), y)
    for name in ("roc_auc", "average_precision", "balanced_accuracy"):
        assert np.isnan(result.values()[name]).all()
    assert np.isnan(result.recall_negative if positive else result.recall_positive).all()
    assert not np.isnan(result.recall_positive if positive else result.recall_negative).any()
    assert np.isfinite(result.brier).all()
    assert np.isfinite(result.log_loss).all()
    assert np.isnan(roc_auc(np.zeros((5, 2)), y)).all()


def test_shapes_follow_the_decision_values() -> None:
    """A vector gives scalars (shape ()), a matrix one value a column, equal to the vector's."""
    generator = np.random.default_rng(0)
    z, y = generator.normal(size=(50, 3)), generator.random(50) < 0.4
    many = binary_metrics(z, y)
    for m in range(3):
        for name, value in binary_metrics(z[:, m], y).values().items():
            assert value.shape == ()
            assert value == many.values()[name][m]


def test_extreme_logits_stay_finite() -> None:
    """Logits of +-1e4 give probabilities 0 and 1 and an unclipped, finite log loss."""
    y = np.array([True, False])
    result = binary_metrics(np.array([-1e4, 1e4]), y)
    assert result.log_loss == 1e4
    assert result.brier == 1.0
    np.testing.assert_array_equal(probability(np.array([-1e4, 0.0, 1e4])), [0.0, 0.5, 1.0])


@pytest.mark.parametrize(
    ("decision", "y", "message"),
    [
        (np.array([0.0, np.nan]), np.array([True, False]), "finite"),
        (np.zeros(2), np.array([1, 0]), "must be bool"),
        (np.zeros(3), np.array([True, False]), "decision must be"),
        (np.zeros((2, 1, 1)), np.array([True, False]), "decision must be"),
        (np.zeros(0), np.zeros(0, dtype=bool), "n at least 1"),
    ],
)
def test_bad_input_is_named(decision: NDArray[np.float64], y: NDArray[np.bool_], message: str) -> None:
    """Each kind of bad input is one ValueError."""
    with pytest.raises(ValueError, match=message):
        binary_metrics(decision, y)
