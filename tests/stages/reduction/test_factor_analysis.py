"""Factor analysis against scikit-learn's, and against the model it was drawn from."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.decomposition import FactorAnalysis
from sklearn.preprocessing import StandardScaler

from stagewright.stages.reduction.correlation import correlation
from stagewright.stages.reduction.factor_analysis import fit_fa


def _counts(n_cells: int = 500, n_genes: int = 60, k: int = 4, seed: int = 0) -> sparse.csr_matrix:
    """Draw logged negative-binomial counts with k planted programmes of 12 genes each."""
    rng = np.random.default_rng(seed)
    activity = rng.standard_normal((n_cells, k))
    weights = np.zeros((k, n_genes))
    for programme in range(k):
        weights[programme, programme * 12 : programme * 12 + 12] = rng.uniform(0.4, 0.9, 12)
    mean = np.exp(activity @ weights) * rng.gamma(4.0, 0.5, n_genes)
    return sparse.csr_matrix(np.log1p(rng.negative_binomial(5, 5 / (5 + mean))).astype(np.float32))


def _z(x: sparse.csr_matrix) -> np.ndarray:
    return StandardScaler().fit_transform(x.toarray().astype(np.float64))


@pytest.mark.parametrize("k", [1, 4, 9])
def test_likelihood_and_covariance_agree_with_scikit_learn(k: int) -> None:
    """From their start our likelihood is at least theirs - 1e-6 relative, and the covariances and its value agree."""
    x = _counts()
    z = _z(x)
    oracle = FactorAnalysis(k, tol=1e-10, max_iter=20000, svd_method="lapack").fit(z)
    theirs = float(oracle.score(z))
    ours = fit_fa(x, k, seed=1, start=np.ones(60))
    loglike = ours.extras["loglike"]
    assert isinstance(loglike, float)
    assert ours.extras["converged"] is True
    assert loglike >= theirs - 1e-6 * abs(theirs)
    loadings = ours.loadings.astype(np.float64)
    implied = loadings @ loadings.T + np.diag(ours.arrays["uniquenesses"].astype(np.float64))
    np.testing.assert_allclose(np.diag(implied), 1.0, atol=5e-3)
    np.testing.assert_allclose(implied, oracle.get_covariance(), atol=5e-3)
    # The reported likelihood is the Gaussian one of the returned parameters.
    _, log_determinant = np.linalg.slogdet(implied)
    trace = np.trace(np.linalg.solve(implied, z.T @ z / len(z)))
    expected = -(60 * np.log(2 * np.pi) + log_determinant + trace) / 2
    assert loglike == pytest.approx(expected, rel=1e-6)
    assert ours.extras["explained"] == pytest.approx((loadings**2).sum() / 60, rel=1e-5)


@pytest.mark.parametrize("k", [1, 2, 9])
def test_several_starts_find_the_higher_maximum(k: int) -> None:
    """Where the likelihood has several maxima the best of 8 random starts is at least scikit-learn's one."""
    x = _counts()
    oracle = FactorAnalysis(k, tol=1e-10, max_iter=20000, svd_method="lapack").fit(_z(x))
    theirs = float(oracle.score(_z(x)))
    ours = fit_fa(x, k, seed=1, n_starts=8)
    spread = ours.extras["loglike_by_start"]
    assert isinstance(spread, list)
    assert len(spread) == 8
    assert ours.extras["loglike"] == max(float(str(value)) for value in spread)
    assert float(str(ours.extras["loglike"])) >= theirs - 1e-6 * abs(theirs)


def test_scores_are_the_posterior_means() -> None:
    """As scikit-learn computes E[f | z] from the same parameters, also after a rotation."""
    x = _counts()
    z = _z(x)
    for rotation in (None, "varimax"):
        ours = fit_fa(x, 4, seed=1, rotation=rotation)
        loadings = ours.loadings.astype(np.float64)
        covariance = loadings @ loadings.T + np.diag(ours.arrays["uniquenesses"].astype(np.float64))
        np.testing.assert_allclose(ours.scores, z @ np.linalg.solve(covariance, loadings), atol=1e-3)


def test_oblique_scores_use_the_factor_correlation() -> None:
    """With promax the regression weights are Sigma^-1 P Phi, and P Phi P' + psi is the same covariance."""
    x = _counts()
    z = _z(x)
    plain, ours = fit_fa(x, 4, seed=1), fit_fa(x, 4, seed=1, rotation="promax")
    pattern = ours.loadings.astype(np.float64)
    phi = ours.arrays["factor_correlation"].astype(np.float64)
    common = pattern @ phi @ pattern.T
    unrotated = plain.loadings.astype(np.float64)
    np.testing.assert_allclose(common, unrotated @ unrotated.T, atol=1e-4)
    covariance = common + np.diag(ours.arrays["uniquenesses"].astype(np.float64))
    np.testing.assert_allclose(ours.scores, z @ np.linalg.solve(covariance, pattern @ phi), atol=1e-3)
    assert ours.extras["explained"] == pytest.approx(plain.extras["explained"])


def test_planted_programmes_are_recovered_by_varimax() -> None:
    """Each planted programme has one factor whose 12 largest loadings are its genes."""
    ours = fit_fa(_counts(n_cells=1500), 4, seed=2, rotation="varimax")
    found = {tuple(sorted(np.argsort(-np.abs(ours.loadings[:, factor]))[:12])) for factor in range(4)}
    assert found == {tuple(range(start, start + 12)) for start in (0, 12, 24, 36)}


def test_seeds_start_elsewhere_and_reach_the_same_likelihood() -> None:
    """Different random starts agree to 1e-6 where the likelihood has one maximum; one seed repeats itself exactly."""
    x = _counts()
    shared = correlation(x)
    fits = [fit_fa(x, 4, seed=seed, correlation=shared) for seed in (1, 2, 3)]
    likelihoods = [float(str(fit.extras["loglike"])) for fit in fits]
    assert max(likelihoods) - min(likelihoods) < 1e-5 * abs(likelihoods[0])
    again = fit_fa(x, 4, seed=1, correlation=shared)
    np.testing.assert_array_equal(again.loadings, fits[0].loadings)


def test_a_given_start_is_used() -> None:
    """Starting at the solution needs almost no step."""
    x = _counts()
    first = fit_fa(x, 4, seed=1)
    again = fit_fa(x, 4, seed=1, start=np.minimum(first.arrays["uniquenesses"].astype(np.float64), 1.0))
    assert isinstance(again.extras["n_iter"], int)
    assert isinstance(first.extras["n_iter"], int)
    assert again.extras["n_iter"] <= 1 < first.extras["n_iter"]


def test_constant_genes_take_no_part_and_twins_stop_at_the_bound() -> None:
    """A constant gene has loadings 0 and uniqueness 1; a duplicated gene is a Heywood case at 0.005, counted."""
    dense = _counts().toarray()
    dense[:, 50] = 2.0
    dense[:, 59] = dense[:, 58]
    ours = fit_fa(sparse.csr_matrix(dense), 5, seed=1)
    assert not ours.loadings[50].any()
    assert ours.arrays["uniquenesses"][50] == pytest.approx(1.0)
    assert ours.extras["n_constant_genes"] == 1
    assert ours.extras["n_at_bound"] == 2
    without = fit_fa(sparse.csr_matrix(np.delete(dense, 50, axis=1)), 5, seed=1)
    assert ours.extras["loglike"] == pytest.approx(without.extras["loglike"], rel=1e-5)


def test_more_genes_than_cells_works() -> None:
    """A smoke slice with 60 cells and 200 genes has a finite, converged fit."""
    ours = fit_fa(_counts(n_cells=60, n_genes=200), 5, seed=1)
    assert ours.extras["converged"] is True
    assert np.isfinite(ours.scores).all()
    assert 0 < float(str(ours.extras["explained"])) < 1


def test_running_out_of_steps_is_reported() -> None:
    """A fit cut short says that it has not converged."""
    assert fit_fa(_counts(), 4, seed=1, max_iter=1).extras["converged"] is False


def test_bad_requests_are_refused() -> None:
    """K out of range, an unknown rotation, a foreign correlation or a bad start have their own errors."""
    x = _counts()
    with pytest.raises(ValueError, match="takes 1 to 59"):
        fit_fa(x, 60, seed=1)
    with pytest.raises(ValueError, match="none, varimax, promax"):
        fit_fa(x, 4, seed=1, rotation="oblimin")
    with pytest.raises(ValueError, match="has 60 genes"):
        fit_fa(x, 4, seed=1, correlation=np.eye(5, dtype=np.float32))
    with pytest.raises(ValueError, match=r"values in \(0, 1\]"):
        fit_fa(x, 4, seed=1, start=np.zeros(60))
    with pytest.raises(ValueError, match="n_starts is 0"):
        fit_fa(x, 4, seed=1, n_starts=0)
