"""Rotations against scikit-learn's varimax and against a planted simple structure."""

import numpy as np
import pytest
from sklearn.decomposition._factor_analysis import _ortho_rotation

from stagewright.stages.reduction.rotation import promax, rotate, varimax


def _simple(k: int = 3, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    loadings = 0.03 * rng.standard_normal((45, k))
    for factor in range(k):
        loadings[factor * 15 : factor * 15 + 15, factor] += rng.uniform(0.5, 0.9, 15)
    return loadings


def _orthogonal(k: int, seed: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((k, k)))[0]


def _criterion(loadings: np.ndarray) -> float:
    rows = loadings / np.linalg.norm(loadings, axis=1, keepdims=True)
    return float((rows**2).var(axis=0).sum())


def test_varimax_undoes_a_rotation() -> None:
    """Simple structure is found again up to order and sign, by an orthogonal matrix."""
    simple = _simple()
    rotation = varimax(simple @ _orthogonal(3, 1))
    assert rotation.converged
    np.testing.assert_allclose(rotation.matrix.T @ rotation.matrix, np.eye(3), atol=1e-12)
    agreement = np.abs(np.corrcoef(simple.T, rotation.loadings.T)[:3, 3:])
    assert (agreement.max(axis=1) > 0.99).all()


def test_varimax_reaches_the_criterion_of_scikit_learn() -> None:
    """On Kaiser-normalised rows the criterion is that of scikit-learn's varimax, to 1e-6."""
    loadings = np.random.default_rng(2).standard_normal((50, 4)) * np.array([2.0, 1.0, 0.7, 0.5])
    rows = loadings / np.linalg.norm(loadings, axis=1, keepdims=True)
    oracle = _ortho_rotation(rows, tol=1e-12, max_iter=5000).T
    assert _criterion(varimax(loadings, tolerance=1e-12).loadings) >= _criterion(oracle) - 1e-6


def test_promax_finds_correlated_factors_and_keeps_the_covariance() -> None:
    """Factors have unit variance and about the planted correlation; pattern Phi pattern' is unchanged."""
    simple = _simple()
    planted = np.full((3, 3), 0.4) + 0.6 * np.eye(3)
    orthogonal = np.asarray(simple @ np.linalg.cholesky(planted), dtype=np.float64)
    rotation = promax(np.asarray(orthogonal @ _orthogonal(3, 3), dtype=np.float64))
    np.testing.assert_allclose(np.diag(rotation.factor_correlation), 1.0, atol=1e-10)
    np.testing.assert_allclose(
        rotation.loadings @ rotation.factor_correlation @ rotation.loadings.T, orthogonal @ orthogonal.T, atol=1e-10
    )
    off_diagonal = np.abs(rotation.factor_correlation[np.triu_indices(3, 1)])
    np.testing.assert_allclose(off_diagonal, 0.4, atol=0.1)


def test_no_rotation_one_factor_and_empty_rows() -> None:
    """Nothing is done without a rotation or with one factor; genes without loadings stay without."""
    loadings = _simple()
    assert rotate(loadings, None).loadings is loadings
    assert rotate(loadings[:, :1], "promax").loadings.shape == (45, 1)
    loadings[7] = 0.0
    assert not rotate(loadings, "varimax").loadings[7].any()
    with pytest.raises(ValueError, match="none, varimax, promax"):
        rotate(loadings, "quartimax")
