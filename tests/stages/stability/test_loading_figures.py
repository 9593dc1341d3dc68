"""Sparsity, orthogonality, effective rank, and the chance level: known cases, and no dependence on scale."""

import numpy as np
import pytest

from stagewright.stages.stability.chance import chance_level
from stagewright.stages.stability.loading_figures import effective_rank, orthogonality, sparsity
from stagewright.stages.stability.matching import match_components


def test_sparsity_has_its_ends_and_no_units() -> None:
    """1 for single genes, 0 for equal weights, 1 - sqrt(2 / pi) for many Gaussian weights; zeros are left out."""
    assert sparsity(np.eye(50)[:, :3]) == pytest.approx(1.0)
    assert sparsity(-np.ones((50, 2))) == pytest.approx(0.0, abs=1e-12)
    gaussian = np.random.default_rng(0).standard_normal((20_000, 2))
    assert sparsity(gaussian) == pytest.approx(1 - np.sqrt(2 / np.pi), abs=0.01)
    assert sparsity(gaussian * [1e-4, 1e6]) == pytest.approx(sparsity(gaussian))
    assert sparsity(np.column_stack([gaussian, np.zeros(20_000)])) == pytest.approx(sparsity(gaussian))
    assert np.isnan(sparsity(np.zeros((5, 2))))


def test_orthogonality_is_one_minus_the_mean_cosine() -> None:
    """1 for an orthonormal basis, 0 for one direction, 1/2 when all meet at 60 degrees, whatever the lengths."""
    assert orthogonality(np.eye(6)[:, :4]) == pytest.approx(1.0)
    assert orthogonality(np.outer(np.arange(6.0), [1, -2, 3])) == pytest.approx(0.0, abs=1e-12)
    at_60 = np.linalg.cholesky(np.full((3, 3), 0.5) + 0.5 * np.eye(3)).T
    assert orthogonality(at_60 * [1, 10, 100]) == pytest.approx(0.5)
    assert np.isnan(orthogonality(np.ones((5, 1))))


def test_effective_rank_counts_independent_axes() -> None:
    """About 1 for independent axes of any scale, 0 when all are one; a constant axis counts as none."""
    scores = np.random.default_rng(1).standard_normal((20_000, 5)) * [1, 10, 100, 1e3, 1e4] + 3
    assert effective_rank(scores) == pytest.approx(1.0, abs=0.01)
    assert effective_rank(scores[:, [0, 0, 0]]) == pytest.approx(0.0, abs=1e-9)
    assert effective_rank(np.column_stack([scores, np.ones(20_000)])) == pytest.approx(0.8, abs=0.01)
    assert np.isnan(effective_rank(np.ones((5, 3))))


def test_the_chance_level_is_that_of_unrelated_components() -> None:
    """It grows with K and shrinks with genes, and is near the median match of independent Gaussian loadings."""
    rng = np.random.default_rng(2)
    fits = [rng.standard_normal((300, 20)) for _ in range(3)]
    level = chance_level(fits)
    assert level is not None
    assert level == pytest.approx(float(np.median(match_components(fits[0], fits[1]))), abs=0.04)
    assert chance_level(fits) == level
    few = chance_level([fit[:, :4] for fit in fits])
    many = chance_level([rng.standard_normal((3000, 20)) for _ in range(3)])
    assert few is not None
    assert many is not None
    assert few < level
    assert many < level / 2
    assert chance_level(fits[:1]) is None
