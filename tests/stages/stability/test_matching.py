"""Pairing of components, and what follows from it."""

from itertools import permutations

import numpy as np
import pytest

from stagewright.stages.stability.matching import match_components, similarity_blocks
from stagewright.stages.stability.pairwise import pairwise_stability


def test_matching_agrees_with_all_permutations() -> None:
    """The pairing has the largest sum that any permutation reaches, with correlations as numpy computes them."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((50, 5)), rng.standard_normal((50, 5))
    table = np.abs(np.corrcoef(a.T, b.T)[:5, 5:])
    best = max(sum(table[i, order[i]] for i in range(5)) for order in permutations(range(5)))
    matched = match_components(a, b)
    assert matched.sum() == pytest.approx(best)
    np.testing.assert_allclose(similarity_blocks([a, b])[0, 1].max(axis=1), table.max(axis=1))


def test_order_sign_and_scale_do_not_matter() -> None:
    """A permuted, negated, rescaled copy matches perfectly; float32 is enough."""
    a = np.random.default_rng(1).standard_normal((80, 4)).astype(np.float32)
    b = a[:, [2, 0, 3, 1]] * np.array([-1, 2, -3, 0.1], dtype=np.float32)
    np.testing.assert_allclose(match_components(a, b), 1.0, atol=1e-6)
    np.testing.assert_allclose(match_components(a, b, measure="cosine"), 1.0, atol=1e-6)


def test_measures_differ_where_means_do() -> None:
    """Positive components with nothing in common have a high cosine and no correlation."""
    rng = np.random.default_rng(2)
    a, b = rng.random((2000, 1)), rng.random((2000, 1))
    assert match_components(a, b, measure="cosine")[0] > 0.7
    assert match_components(a, b)[0] < 0.1


def test_a_dead_component_matches_nothing() -> None:
    """A zero or constant column gets 0, not NaN."""
    a = np.random.default_rng(3).standard_normal((40, 3))
    b = a.copy()
    b[:, 1] = 0.7
    assert match_components(a, b).min() < 0.5
    assert match_components(b, b).round(6).tolist() == [1.0, 0.0, 1.0]


def test_row_maximum_hides_a_lost_component_and_matching_does_not() -> None:
    """When a fit finds one component twice, only the one-to-one pairing shows the loss."""
    a = np.random.default_rng(4).standard_normal((200, 2))
    b = a[:, [0, 0]]
    assert similarity_blocks([b, a])[0, 1].max(axis=1).min() == pytest.approx(1.0)
    assert match_components(b, a).min() < 0.3


def test_pairwise_stability_summarises_all_pairs() -> None:
    """Every pair of fits appears once, and the figures are those of the pairs."""
    rng = np.random.default_rng(5)
    truth = rng.standard_normal((100, 4))
    fits = [truth + 0.3 * rng.standard_normal((100, 4)) for _ in range(4)]
    for fit in fits:
        fit[:, 3] = rng.standard_normal(100)  # one component is new every time
    stability = pairwise_stability(fits)
    assert stability.pairs == ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))
    expected = np.array([match_components(fits[i], fits[j]) for i, j in stability.pairs])
    np.testing.assert_allclose(stability.matched, expected)
    assert stability.mean == pytest.approx(expected.mean())
    assert stability.median == pytest.approx(np.median(expected))
    assert stability.fraction_low == pytest.approx(0.25)
    assert (stability.per_component[:, 3] < 0.3).all()
    assert (stability.per_component[:, :3] > 0.8).all()
    assert stability.summary()["n_pairs"] == 6


def test_one_fit_is_not_applicable_rather_than_perfect() -> None:
    """With a single fit there is no stability, and the summary says why."""
    stability = pairwise_stability([np.eye(4)])
    assert not stability.applicable
    assert stability.median is None
    assert stability.summary()["mean"] is None
    assert "one fit" in stability.reason


def test_fits_of_different_shapes_are_refused() -> None:
    """Different K or genes cannot be compared."""
    with pytest.raises(ValueError, match="same genes and the same K"):
        match_components(np.eye(4), np.eye(4)[:, :3])
    with pytest.raises(ValueError, match="at least one fit"):
        pairwise_stability([])
