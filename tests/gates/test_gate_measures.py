"""What gates compute, against independent oracles."""

from itertools import permutations

import numpy as np
import pytest
from sklearn.datasets import make_low_rank_matrix
from sklearn.decomposition import NMF, PCA

from stagewright.gates import embeddings
from stagewright.gates.effective_rank import independent_share
from stagewright.gates.embeddings import measure_axes
from stagewright.gates.finding import bounded
from stagewright.gates.matched_correlation import matched_correlation
from stagewright.gates.protocol import Finding


def test_axes_are_measured_as_numpy_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over several blocks of cells, the correlation agrees with numpy's to 1e-12, at a large mean too."""
    monkeypatch.setattr(embeddings, "BLOCK", 7)
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(60, 5)) @ rng.normal(size=(5, 5)) + 1000.0
    axes = measure_axes(scores)
    np.testing.assert_allclose(axes.correlation, np.corrcoef(scores.T), atol=1e-12)
    np.testing.assert_allclose(axes.norm, np.linalg.norm(scores, axis=0), rtol=1e-12)
    assert axes.varying.tolist() == [0, 1, 2, 3, 4]


def test_broken_axes_are_told_apart() -> None:
    """A NaN, an infinity, a constant, a zero axis and two good ones, in float32."""
    scores = np.random.default_rng(1).normal(size=(50, 6)).astype(np.float32)
    scores[3, 0], scores[4, 1] = np.nan, np.inf
    scores[:, 2], scores[:, 3] = 1234.5, 0.0
    axes = measure_axes(scores)
    assert axes.not_finite.tolist() == [1, 1, 0, 0, 0, 0]
    assert axes.constant.tolist() == [False, False, True, True, False, False]
    assert axes.varying.tolist() == [4, 5]


def test_the_independent_share_has_its_stated_ends() -> None:
    """Uncorrelated axes: 1; one axis k times: 0; one direction of k: 1 / k + ... as the formula says."""
    assert independent_share(np.eye(8), 8) == pytest.approx(1.0)
    assert independent_share(np.ones((8, 8)), 8) == pytest.approx(0.0)
    alike = np.full((8, 8), 0.5) + 0.5 * np.eye(8)
    eigenvalues = np.linalg.eigvalsh(alike)
    ratio = eigenvalues.sum() ** 2 / np.square(eigenvalues).sum()
    assert independent_share(alike, 8) == pytest.approx((ratio - 1) / 7)


@pytest.mark.parametrize("k", [5, 20])
def test_real_reductions_do_not_cry_wolf(k: int) -> None:
    """PCA and NMF of low-rank data with noise are far from every bound, though PCA's variances fall off steeply."""
    data = np.abs(make_low_rank_matrix(400, 120, effective_rank=15, random_state=0)) + 0.01
    for scores in (
        PCA(k, random_state=0).fit_transform(data),
        NMF(k, init="random", solver="mu", beta_loss="kullback-leibler", random_state=0, tol=1e-2).fit_transform(data),
    ):
        axes = measure_axes(scores)
        assert not axes.constant.any()
        assert np.abs(np.triu(axes.correlation, 1)).max() < 0.9
        assert independent_share(axes.correlation, k) > 0.5


def test_components_are_matched_as_by_trying_every_order() -> None:
    """The assignment is the best of all orders; signs do not matter, and a constant component is like none."""
    rng = np.random.default_rng(2)
    first, second = rng.normal(size=(30, 4)), rng.normal(size=(30, 4))
    alike = np.abs(np.corrcoef(first.T, second.T)[:4, 4:])
    best = max(permutations(range(4)), key=lambda order: sum(alike[i, j] for i, j in enumerate(order)))
    np.testing.assert_allclose(
        matched_correlation(first, second), [alike[i, j] for i, j in enumerate(best)], atol=1e-12
    )
    np.testing.assert_allclose(matched_correlation(first, -first[:, ::-1]), 1.0, atol=1e-12)
    first[:, 2] = 0.1
    assert matched_correlation(first, first)[2] == 0.0


def test_many_findings_alike_are_counted() -> None:
    """Twenty are passed on, the others become one."""
    findings = [
        Finding(gate="g", subject=str(n), severity="fail", measured="m", threshold="t", reason="r") for n in range(25)
    ]
    shown = list(bounded(findings))
    assert len(shown) == 21
    assert shown[-1].subject == "5 more"
    assert list(bounded(findings[:20])) == findings[:20]
