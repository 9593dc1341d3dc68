"""NMF against scikit-learn's own start and against planted programmes."""

import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn.decomposition import NMF
from sklearn.decomposition._nmf import _beta_divergence

from stagewright.stages.reduction.nmf import Loss, fit_nmf
from stagewright.stages.stability.matching import match_components


def _planted(seed: int = 0) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Draw logged negative-binomial counts of 4 programmes over 80 genes, and the programmes, shape (80, 4)."""
    rng = np.random.default_rng(seed)
    programmes = np.full((4, 80), 0.05)
    for programme in range(4):
        programmes[programme, programme * 20 : programme * 20 + 20] = rng.gamma(2.0, 1.0, 20)
    mean = rng.dirichlet(np.full(4, 0.3), 400) @ programmes * 4
    counts = rng.negative_binomial(10, 10 / (10 + mean))
    return sparse.csr_matrix(np.log1p(counts).astype(np.float32)), programmes.T


@pytest.mark.parametrize("loss", ["frobenius", "kullback-leibler"])
def test_the_objective_is_as_low_as_scikit_learns(loss: Loss) -> None:
    """Within 1 % of scikit-learn's own random starts (best of 3 each), and computed as scikit-learn does."""
    x, _ = _planted()
    scaled = x.toarray() / x.toarray().astype(np.float64).std(axis=0)
    solver = "cd" if loss == "frobenius" else "mu"
    theirs = []
    for seed in range(3):
        model = NMF(4, init="random", solver=solver, beta_loss=loss, random_state=seed, max_iter=2000)
        w = model.fit_transform(scaled)
        theirs.append(float(_beta_divergence(scaled, w, model.components_, loss)))
    fits = [fit_nmf(x, 4, seed=seed, loss=loss, max_iter=2000) for seed in range(3)]
    ours = [float(str(fit.extras["objective"])) for fit in fits]
    assert min(ours) <= min(theirs) * 1.01
    fit = fits[0]
    again = float(_beta_divergence(scaled, fit.scores.astype(np.float64), fit.loadings.T.astype(np.float64), loss))
    assert ours[0] == pytest.approx(again, rel=1e-4)
    residual = scaled - fit.scores @ fit.loadings.T
    assert fit.extras["explained"] == pytest.approx(1 - (residual**2).sum() / (scaled**2).sum(), abs=1e-5)


def test_planted_programmes_are_recovered() -> None:
    """Each planted programme correlates above 0.8 with its own component."""
    x, programmes = _planted()
    fit = fit_nmf(x, 4, seed=1, scale=False)
    assert match_components(programmes, fit.loadings).min() > 0.8
    assert (fit.scores >= 0).all()
    assert (fit.loadings >= 0).all()
    np.testing.assert_allclose(np.linalg.norm(fit.loadings, axis=0), 1.0, rtol=1e-5)
    assert (np.diff(np.linalg.norm(fit.scores, axis=0)) <= 0).all()


def test_the_seed_decides_the_fit() -> None:
    """The same seed repeats the fit exactly, another one starts elsewhere."""
    x, _ = _planted()
    first, again, other = (fit_nmf(x, 6, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.scores, again.scores)
    assert not np.array_equal(first.scores, other.scores)


def test_running_out_of_iterations_is_reported_without_a_warning() -> None:
    """`converged` says it; the solver's warning does not leak."""
    x, _ = _planted()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit = fit_nmf(x, 4, seed=1, max_iter=2)
    assert fit.extras["converged"] is False
    assert fit.extras["n_iter"] == 2


def test_more_components_than_the_data_hold_leaves_dead_ones_counted() -> None:
    """A matrix of rank 1 with a gene that is zero: the count of dead components is that of zero columns."""
    x = sparse.csr_matrix(np.outer(np.arange(1.0, 30.0), [1.0, 2.0, 3.0, 0.0]).astype(np.float32))
    fit = fit_nmf(x, 4, seed=1)
    dead = (np.linalg.norm(fit.scores, axis=0) == 0) | (np.linalg.norm(fit.loadings, axis=0) == 0)
    assert fit.extras["n_dead"] == dead.sum()
    assert fit.extras["n_constant_genes"] == 1
    assert np.isfinite(fit.loadings).all()


def test_bad_requests_are_refused() -> None:
    """Negative values, K out of range and unknown losses have their own errors."""
    x, _ = _planted()
    with pytest.raises(ValueError, match="takes 1 to 80"):
        fit_nmf(x, 81, seed=1)
    with pytest.raises(ValueError, match="frobenius, kullback-leibler"):
        fit_nmf(x, 3, seed=1, loss="itakura-saito")  # type: ignore[arg-type]  # the mistake under test
    x.data[:2] = -1
    with pytest.raises(ValueError, match="2 entries are negative"):
        fit_nmf(x, 3, seed=1)
