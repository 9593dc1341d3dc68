"""Scores of other cells: the fit's own on the training cells, and scikit-learn's and scipy's on others."""

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import nnls
from sklearn.decomposition import PCA, FactorAnalysis, non_negative_factorization
from sklearn.preprocessing import StandardScaler

from stagewright.stages.reduction.factor_analysis import fit_fa
from stagewright.stages.reduction.nmf import Loss, fit_nmf
from stagewright.stages.reduction.nonnegative_scores import nonnegative_scores
from stagewright.stages.reduction.pca import fit_pca
from stagewright.stages.reduction.reduction import Reduction
from stagewright.stages.reduction.standardise import standardise
from stagewright.stages.reduction.transform import transform


def _cells(n_cells: int = 150, seed: int = 0) -> sparse.csr_matrix:
    """Log counts of 60 genes, five programmes; the last gene is constant."""
    rng = np.random.default_rng(seed)
    programmes = np.random.default_rng(99).gamma(0.3, 1.0, (5, 60))
    counts = rng.poisson(rng.gamma(0.5, 1.0, (n_cells, 5)) @ programmes + 0.2)
    counts[:, -1] = 0
    return sparse.csr_matrix(np.log1p(counts).astype(np.float32))


def _fits(x: sparse.csr_matrix) -> dict[str, Reduction]:
    return {
        "pca": fit_pca(x, [4], seed=1)[4],
        "fa": fit_fa(x, 4, seed=1),
        "varimax": fit_fa(x, 4, seed=1, rotation="varimax"),
        "promax": fit_fa(x, 4, seed=1, rotation="promax"),
        "bartlett": fit_fa(x, 4, seed=1, rotation="promax", estimator="bartlett"),
    }


def test_linear_scores_of_the_training_cells_are_the_fits_own() -> None:
    """Bit for bit, rotated or not."""
    x = _cells()
    for fit in _fits(x).values():
        np.testing.assert_array_equal(transform(fit, x), fit.scores)
        assert fit.arrays["gene_sd"][-1] == 0
        assert np.isfinite(fit.scores).all()


@pytest.mark.parametrize("loss", ["frobenius", "kullback-leibler"])
def test_non_negative_scores_of_the_training_cells_are_the_fits_own(loss: Loss) -> None:
    """From another start the same minimum: to 1e-3 of the largest score, and the loss to 1e-6."""
    x = _cells()
    fit = fit_nmf(x, 4, seed=1, loss=loss)
    again = transform(fit, x)
    np.testing.assert_allclose(again, fit.scores, atol=1e-3 * fit.scores.max())
    assert fit.extras["n_unsettled"] == 0


def test_other_cells_are_projected_as_scikit_learn_does() -> None:
    """Standardised by the training cells: PCA to 1e-3, each factor's scores correlated above 0.99."""
    x, other = _cells(), _cells(40, seed=7)
    varying = slice(0, 59)
    scaler = StandardScaler().fit(x.toarray()[:, varying])
    z, new = scaler.transform(x.toarray()[:, varying]), scaler.transform(other.toarray()[:, varying])
    fits = _fits(x)
    theirs = PCA(4, svd_solver="full").fit(z).transform(new)
    np.testing.assert_allclose(np.abs(transform(fits["pca"], other)), np.abs(theirs), atol=1e-3)
    theirs = FactorAnalysis(4, svd_method="lapack", tol=1e-8, max_iter=20000).fit(z).transform(new)
    ours = transform(fits["fa"], other)
    for factor in range(4):
        assert max(abs(np.corrcoef(ours[:, factor], theirs[:, j])[0, 1]) for j in range(4)) > 0.99


def test_bartletts_scores_are_the_weighted_least_squares_ones() -> None:
    """By the definition: the factors that leave the least sum of squared residuals over uniquenesses."""
    x = _cells()
    fit = _fits(x)["bartlett"]
    z = np.vstack([*standardise(x).dense_blocks(50)]).astype(np.float64)
    root = 1 / np.sqrt(fit.arrays["uniquenesses"].astype(np.float64))
    theirs = np.linalg.lstsq(fit.loadings * root[:, None], (z * root).T, rcond=None)[0].T
    np.testing.assert_allclose(fit.scores, theirs, atol=1e-3)
    assert fit.extras["scores"] == "bartlett"


def test_least_squares_scores_are_scipys() -> None:
    """`scipy.optimize.nnls` cell by cell, to 1e-4 of the largest; a component without loadings scores 0."""
    x = _cells(30)
    loadings = np.random.default_rng(3).gamma(0.3, 1.0, (60, 6)).astype(np.float32)
    loadings[:, 5] = 0
    ours, unsettled = nonnegative_scores(x, loadings, "frobenius")
    theirs = np.array([nnls(loadings[:, :5].astype(np.float64), row)[0] for row in x.toarray().astype(np.float64)])
    np.testing.assert_allclose(ours[:, :5], theirs, atol=1e-4 * theirs.max())
    assert not ours[:, 5].any()
    assert unsettled == 0


def test_divergence_scores_are_no_worse_than_scikit_learns() -> None:
    """The divergence of each cell is at most 1e-6 above that of 20,000 multiplicative updates."""
    x = _cells(30)
    loadings = np.random.default_rng(3).gamma(0.3, 1.0, (60, 6))
    ours, unsettled = nonnegative_scores(x, loadings, "kullback-leibler")
    dense = x.toarray().astype(np.float64)
    theirs, _, _ = non_negative_factorization(
        dense,
        H=loadings.T,
        n_components=6,
        update_H=False,
        solver="mu",
        beta_loss="kullback-leibler",
        tol=0,
        max_iter=20000,
    )

    def divergence(scores: np.ndarray) -> np.ndarray:
        predicted = np.maximum(scores @ loadings.T, 1e-30)
        observed = np.where(dense > 0, dense, 1.0)
        return (predicted - np.where(dense > 0, dense * np.log(predicted / observed) + dense, 0.0)).sum(axis=1)

    assert (divergence(ours) <= divergence(theirs) * (1 + 1e-6) + 1e-9).all()
    assert unsettled == 0


def test_what_cannot_be_scored_is_refused() -> None:
    """Other genes, NaN, negative entries, a standardised view, and a method that has no out-of-sample scores."""
    x = _cells()
    fits = _fits(x)
    with pytest.raises(ValueError, match="has 60; give the same genes"):
        transform(fits["pca"], x[:, :10])
    bad = x.copy()
    bad.data[0] = np.nan
    with pytest.raises(ValueError, match="NaN or infinite"):
        transform(fits["pca"], bad)
    factors = fit_nmf(x, 3, seed=1)
    bad.data[0] = -1
    with pytest.raises(ValueError, match="1 entries are negative"):
        transform(factors, bad)
    with pytest.raises(ValueError, match="not a standardised view"):
        transform(factors, standardise(x))
    other = Reduction("harmony", 4, fits["pca"].scores, fits["pca"].loadings, {})
    with pytest.raises(ValueError, match="harmony cannot score cells"):
        transform(other, x)
