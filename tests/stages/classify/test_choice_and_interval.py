"""The choice of a penalty strength with its tie-breakers, and intervals over patients."""

import numpy as np
import pytest
from scipy.stats import bootstrap

from stagewright.stages.classify.choice import choice_left_out, choose_alpha
from stagewright.stages.classify.patient_interval import patient_interval

ALPHAS = np.array([0.1, 1.0, 10.0])


@pytest.mark.parametrize(
    ("auc", "precision", "recall", "chosen"),
    [
        ([0.7, 0.9, 0.8], [0.9, 0.1, 0.9], [1, 0, 1], 1),  # AUC alone
        ([0.9, 0.9, 0.8], [0.5, 0.4, 0.9], [0, 1, 1], 0),  # average precision among equals
        ([0.9, 0.9, 0.9], [0.5, 0.4, 0.5], [1, 1, 0], 0),  # then recall
        ([0.9, 0.9, 0.9], [0.5, 0.5, 0.5], [1, 1, 1], 2),  # then the stronger penalty
        ([0.9, 0.9 + 1e-14, 0.8], [0.5, 0.4, 0.1], [1, 1, 1], 0),  # a difference by rounding is none
        ([np.nan, 0.2, 0.1], [1, 1, 1], [1, 1, 1], 1),  # what is not defined is never best
        ([0.9, 0.9, 0.1], [np.nan, np.nan, 1], [0.1, 0.2, 1], 1),  # an undefined tie-breaker is passed over
    ],
)
def test_ties_are_broken_in_the_stated_order(
    auc: list[float], precision: list[float], recall: list[float], chosen: int
) -> None:
    """AUC, then average precision, then recall, then the larger alpha; whatever the order of the alphas."""
    scores = [np.array(values, dtype=float) for values in (auc, precision, recall)]
    assert choose_alpha(scores, ALPHAS) == chosen
    assert choose_alpha([score[::-1] for score in scores], ALPHAS[::-1]) == 2 - chosen


def test_each_patient_is_scored_at_the_choice_of_the_others() -> None:
    """A patient whose own best strength nobody else shares gets the score at theirs."""
    auc = np.array([[0.9, 0.5, 0.5], [0.55, 0.8, 0.6], [0.55, 0.8, 0.6]])
    np.testing.assert_array_equal(choice_left_out([auc, auc, auc], ALPHAS), [0.5, 0.55, 0.55])
    assert np.isnan(choice_left_out([auc[:1]] * 3, ALPHAS)).all()


@pytest.mark.parametrize("statistic", ["median", "mean"])
def test_intervals_are_those_of_scipy(statistic: str) -> None:
    """The percentile bootstrap of scipy from the same draws, to rounding."""
    scores = np.random.default_rng(1).uniform(0.5, 1.0, 12)
    low, high = patient_interval(scores, statistic, seed=5)  # type: ignore[arg-type]
    function = np.median if statistic == "median" else np.mean
    theirs = bootstrap(
        (scores,), function, n_resamples=2000, method="percentile", confidence_level=0.95, rng=np.random.default_rng(5)
    )
    assert low == pytest.approx(theirs.confidence_interval.low, abs=1e-12)
    assert high == pytest.approx(theirs.confidence_interval.high, abs=1e-12)


def test_several_columns_have_the_intervals_of_each() -> None:
    """The draws are shared, so that a column's interval is that of the column alone; one patient has none."""
    scores = np.random.default_rng(2).uniform(size=(7, 3))
    low, high = patient_interval(scores)
    for column in range(3):
        assert patient_interval(scores[:, column]) == (low[column], high[column])
    assert np.isnan(patient_interval(scores[:1])).all()
    assert np.isnan(patient_interval(np.array([0.5, np.nan, 0.7]))).all()
