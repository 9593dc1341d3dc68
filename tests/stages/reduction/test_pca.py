"""PCA against scikit-learn's full decomposition of the dense standardised matrix."""

# Tables, JSON and libraries without types: what is read from them is compared, not computed with.
# pyright: reportArgumentType=false, reportCallIssue=false

import numpy as np
import pytest
from scipy import sparse
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from stagewright.stages.reduction.pca import fit_pca
from stagewright.stages.reduction.standardise import Standardised, standardise


def _matrix(n_cells: int, n_genes: int, seed: int = 0) -> sparse.csr_matrix:
    """Log counts with five planted programmes."""
    rng = np.random.default_rng(seed)
    usage = rng.gamma(0.5, 1.0, (n_cells, 5))
    programmes = rng.gamma(0.3, 1.0, (5, n_genes))
    return sparse.csr_matrix(np.log1p(rng.poisson(usage @ programmes + 0.2)).astype(np.float32))


@pytest.mark.parametrize(
    ("shape", "k", "solver"),
    [((500, 240), 6, "arpack"), ((230, 400), 6, "arpack"), ((200, 80), 40, "gram"), ((60, 150), 40, "gram")],
)
def test_variances_and_directions_are_exact(shape: tuple[int, int], k: int, solver: str) -> None:
    """Both solvers, more cells than genes and fewer: variances to 1e-9, reconstruction to 1e-4."""
    x = _matrix(*shape)
    z = StandardScaler().fit_transform(x.toarray().astype(np.float64))
    oracle = PCA(k, svd_solver="full").fit(z)
    ours = fit_pca(x, [k], seed=1)[k]
    n_cells = shape[0]
    assert ours.extras["solver"] == solver
    np.testing.assert_allclose(
        ours.arrays["variances"].astype(np.float64), oracle.explained_variance_ * (n_cells - 1) / n_cells, rtol=1e-9
    )
    assert ours.extras["explained"] == pytest.approx(oracle.explained_variance_ratio_.sum(), rel=1e-9)
    np.testing.assert_allclose(ours.scores @ ours.loadings.T, oracle.transform(z) @ oracle.components_, atol=1e-4)
    np.testing.assert_allclose(ours.loadings.T @ ours.loadings, np.eye(k), atol=1e-5)
    np.testing.assert_allclose(ours.scores, z @ ours.loadings, atol=1e-3)


def test_no_bit_depends_on_the_other_k() -> None:
    """Alone or among others, below and above the grid's first step."""
    x = _matrix(500, 240)
    together = fit_pca(x, [8, 3, 70, 3], seed=1)
    assert list(together) == [3, 8, 70]
    assert [fit.extras["decomposed_at"] for fit in together.values()] == [64, 64, 128]
    for k, fit in together.items():
        alone = fit_pca(x, [k], seed=1)[k]
        np.testing.assert_array_equal(alone.loadings, fit.loadings)
        np.testing.assert_array_equal(alone.scores, fit.scores)
    np.testing.assert_array_equal(together[3].loadings, together[8].loadings[:, :3])
    shares = [float(str(fit.extras["explained"])) for fit in together.values()]
    assert shares == sorted(shares)


class _Blocks:
    """A view without a sparse matrix, as Pearson residuals are."""

    def __init__(self, view: Standardised) -> None:
        self.shape, self.n_varying = view.shape, view.n_varying
        self.mean, self.sd, self.inverse_sd = view.mean, view.sd, view.inverse_sd
        self.dense_blocks, self.project = view.dense_blocks, view.project


@pytest.mark.parametrize(("k", "solver"), [(6, "blocks, arpack"), (70, "blocks, dense")])
def test_a_view_of_blocks_gives_the_same_components(k: int, solver: str) -> None:
    """Blocks are float32: variances to 1e-5, scores to 1e-3."""
    view = standardise(_matrix(500, 240))
    sparse_fit, ours = fit_pca(view, [k], seed=1)[k], fit_pca(_Blocks(view), [k], seed=1)[k]
    assert ours.extras["solver"] == solver
    np.testing.assert_allclose(ours.arrays["variances"], sparse_fit.arrays["variances"], rtol=1e-5)
    np.testing.assert_allclose(ours.scores[:, :3], sparse_fit.scores[:, :3], atol=1e-3)


def test_the_seed_changes_nothing_but_rounding_and_the_same_seed_nothing() -> None:
    """Which is why the catalogue calls PCA seed-invariant."""
    x = _matrix(150, 60)
    first, again, other = (fit_pca(x, [5], seed=seed)[5] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.loadings, again.loadings)
    np.testing.assert_allclose(first.loadings, other.loadings, atol=1e-5)


def test_signs_are_fixed() -> None:
    """The largest absolute loading of each component is positive."""
    loadings = fit_pca(_matrix(150, 60), [6], seed=3)[6].loadings
    largest = np.abs(loadings).argmax(axis=0)
    assert (loadings[largest, np.arange(6)] > 0).all()


def test_k_above_the_rank_names_the_largest_allowed() -> None:
    """By the number of cells, of varying genes, or of independent ones."""
    x = _matrix(20, 60)
    with pytest.raises(ValueError, match="largest allowed K is 19"):
        fit_pca(x, [20], seed=1)
    tall = _matrix(100, 10)
    with pytest.raises(ValueError, match="largest allowed K is 10"):
        fit_pca(tall, [5, 11], seed=1)
    doubled = sparse.csr_matrix(sparse.hstack([tall, tall]))
    with pytest.raises(ValueError, match="largest allowed K is 10"):
        fit_pca(doubled, [11], seed=1)
    assert fit_pca(doubled, [10], seed=1)[10].extras["explained"] == pytest.approx(1.0)
    with pytest.raises(ValueError, match="at least one"):
        fit_pca(tall, [], seed=1)
