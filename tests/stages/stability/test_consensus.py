"""Consensus clusters of planted components, with scikit-learn's silhouette as the oracle."""

import numpy as np
import pytest
from sklearn.metrics import silhouette_samples

from stagewright.stages.stability.consensus import consensus_clusters


def _fits(noise: float, n_fits: int = 5, k: int = 4, seed: int = 0) -> tuple[list[np.ndarray], np.ndarray]:
    """Noisy, permuted, sign-flipped copies of k components, and which component each column is."""
    rng = np.random.default_rng(seed)
    truth = rng.standard_normal((150, k))
    orders = np.array([rng.permutation(k) for _ in range(n_fits)])
    fits = [truth[:, order] * rng.choice([-1.0, 1.0], k) + noise * rng.standard_normal((150, k)) for order in orders]
    return fits, orders


def test_components_of_all_fits_find_their_cluster() -> None:
    """Clusters are the planted components whatever their order and sign, and the silhouette is high."""
    fits, orders = _fits(noise=0.2)
    consensus = consensus_clusters(fits, signed=True)
    for component in range(4):
        assert len(set(consensus.labels[orders == component])) == 1
    assert consensus.n_complete == 4
    assert consensus.silhouette is not None
    assert consensus.silhouette > 0.9
    assert consensus.labels[0].tolist() == [0, 1, 2, 3]


def test_silhouettes_agree_with_scikit_learn() -> None:
    """On the same distances and labels, to 1e-12, singletons included."""
    fits, _ = _fits(noise=2.0)
    consensus = consensus_clusters(fits, signed=True)
    distance = 1 - np.abs(np.corrcoef(np.hstack(fits), rowvar=False))
    np.fill_diagonal(distance, 0.0)
    oracle = silhouette_samples(distance, consensus.labels.ravel(), metric="precomputed")
    np.testing.assert_allclose(consensus.silhouettes.ravel(), oracle, atol=1e-12)
    assert consensus.silhouette == pytest.approx(oracle.mean())


def test_noise_lowers_the_silhouette_and_repeats_exactly() -> None:
    """Unrelated fits have a low silhouette; there is no random part."""
    unrelated = [np.random.default_rng(seed).standard_normal((150, 4)) for seed in range(5)]
    consensus = consensus_clusters(unrelated, signed=True)
    assert consensus.silhouette is not None
    assert consensus.silhouette < 0.2
    np.testing.assert_array_equal(consensus.labels, consensus_clusters(unrelated, signed=True).labels)


def test_unsigned_components_keep_opposites_apart() -> None:
    """For non-negative methods a component and its mirror image are different."""
    rng = np.random.default_rng(1)
    one = rng.standard_normal((100, 1))
    pair = np.hstack([one, -one])
    fits = [pair + 0.1 * rng.standard_normal((100, 2)) for _ in range(3)]
    assert consensus_clusters(fits, signed=False).n_complete == 2


def test_dead_components_still_make_k_clusters() -> None:
    """Equal distances do not merge clusters: there are k of them, and the silhouette is no better than 0."""
    consensus = consensus_clusters([np.zeros((5, 3))] * 2, signed=True)
    assert set(consensus.labels.ravel()) == {0, 1, 2}
    assert consensus.silhouette is not None
    assert consensus.silhouette <= 0


def test_one_fit_or_one_component_has_no_silhouette() -> None:
    """It is None, not a number that looks like an answer."""
    assert consensus_clusters([np.eye(5)], signed=True).silhouette is None
    assert consensus_clusters([np.eye(5)[:, :1]] * 3, signed=True).silhouette is None
    with pytest.raises(ValueError, match="at least one fit"):
        consensus_clusters([], signed=True)
