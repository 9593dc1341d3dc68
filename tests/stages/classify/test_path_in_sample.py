"""The in-sample path: standardisation, metrics, deviance."""

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.preprocessing import StandardScaler

from stagewright.stages.classify.logistic_path import fit_logistic_path
from stagewright.stages.classify.metrics import probability
from stagewright.stages.classify.path_in_sample import path_without_cv
from stagewright.stages.classify.standardise import fit_standardisation

ALPHAS = np.logspace(-4, 5, 20)


def cells(seed: int = 0, n: int = 240) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    y = generator.random(n) < 0.25
    x = generator.normal(5.0, 3.0, size=(n, 8)) + 2.0 * y[:, np.newaxis] * (np.arange(8) < 2)
    x[:, 7] = 0.1  # constant
    return x, y


def test_standardises_as_scikit_learn() -> None:
    """Mean and population standard deviation are StandardScaler's; a constant feature becomes exactly 0."""
    x, _ = cells()
    fitted = fit_standardisation(x)
    np.testing.assert_allclose(fitted.apply(x), StandardScaler().fit_transform(x), atol=1e-12)
    assert fitted.scale[7] == 1.0
    assert not fitted.apply(x)[:, 7].any()


def test_path_is_that_of_standardised_features() -> None:
    """Coefficients, decision values, counts and AUC are those of the documented steps done by hand."""
    x, y = cells()
    result = path_without_cv(x, y, ALPHAS)
    scaled = StandardScaler().fit_transform(x)
    by_hand = fit_logistic_path(scaled, y, ALPHAS)
    np.testing.assert_allclose(result.path.objectives, by_hand.objectives, rtol=1e-9)
    np.testing.assert_allclose(result.decision, by_hand.decision(scaled), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(result.n_nonzero, (result.path.coefs != 0).sum(axis=1))
    assert result.n_nonzero[-1] == 0
    assert not result.path.coefs[:, 7].any()
    for m in (0, 10, 19):
        assert result.metrics.roc_auc[m] == pytest.approx(roc_auc_score(y, result.decision[:, m]), abs=1e-12)


@pytest.mark.parametrize("balanced", [True, False])
@pytest.mark.parametrize("l1_ratio", [1.0, 0.4])
def test_deviance_explained(l1_ratio: float, *, balanced: bool) -> None:
    """It is 1 - weighted log loss / that of the model without features: 0 there, rising as the penalty falls."""
    x, y = cells(1)
    result = path_without_cv(x, y, ALPHAS, l1_ratio=l1_ratio, balanced=balanced)
    weights = np.where(y, y.size / (2 * y.sum()), y.size / (2 * (~y).sum())) if balanced else np.ones(y.size)
    null = log_loss(y, np.full(y.size, np.average(y, weights=weights)), sample_weight=weights)
    for m in range(ALPHAS.size):
        loss = log_loss(y, probability(result.decision[:, m]), sample_weight=weights)
        assert result.deviance_explained[m] == pytest.approx(1 - loss / null, abs=1e-8)
    assert (np.diff(result.deviance_explained) <= 1e-9).all()
    assert result.deviance_explained[-1] == pytest.approx(0.0, abs=1e-12)


def test_bad_shapes_are_named() -> None:
    """No cells, no features or a vector of features is one clear error."""
    for x in (np.zeros((0, 3)), np.zeros((3, 0)), np.zeros(3)):
        with pytest.raises(ValueError, match="at least one cell and one feature"):
            path_without_cv(x, np.zeros(x.shape[0], dtype=bool), [1.0])
