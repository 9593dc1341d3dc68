"""The implicit standardised view and the correlation matrix, against dense arithmetic."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.preprocessing import StandardScaler

from stagewright.stages.reduction.correlation import BLOCK_CELLS, correlation
from stagewright.stages.reduction.standardise import standardise


def _matrix(n_cells: int = 90, n_genes: int = 30, seed: int = 0) -> sparse.csr_matrix:
    rng = np.random.default_rng(seed)
    dense = np.log1p(rng.poisson(rng.gamma(1.0, 1.0, n_genes), size=(n_cells, n_genes))).astype(np.float32)
    dense[0] += 0.5  # no gene is constant by chance
    dense[:, 3] = 0.0
    dense[:, 4] = 1.3
    return sparse.csr_matrix(dense)


def test_the_view_is_that_of_a_standard_scaler() -> None:
    """Products and blocks agree with scikit-learn's scaler (ddof = 0); constant genes are zero."""
    x = _matrix()
    view = standardise(x)
    expected = StandardScaler().fit_transform(x.toarray().astype(np.float64))
    expected[:, [3, 4]] = 0.0
    weights = np.random.default_rng(1).standard_normal((30, 5))
    np.testing.assert_allclose(view.project(weights), expected @ weights, atol=2e-4)
    np.testing.assert_allclose(np.vstack(list(view.dense_blocks(17))), expected, atol=1e-5)
    assert view.n_varying == 28
    assert view.sd[3] == view.sd[4] == 0.0
    assert np.isclose((expected**2).sum(), 90 * view.n_varying)


def test_a_high_mean_does_not_drown_the_variance() -> None:
    """A gene of mean 1,000 and sd 0.1 keeps its sd, in float64."""
    rng = np.random.default_rng(2)
    dense = 1000 + 0.1 * rng.standard_normal((500, 3))
    view = standardise(sparse.csr_matrix(dense))
    np.testing.assert_allclose(view.sd, dense.std(axis=0), rtol=1e-9)


def test_whole_numbers_are_projected_as_real_numbers() -> None:
    """An integer matrix does not truncate the weights."""
    dense = np.random.default_rng(3).poisson(3.0, size=(50, 6))
    view = standardise(sparse.csr_matrix(dense))
    z = (dense - dense.mean(axis=0)) / dense.std(axis=0)
    np.testing.assert_allclose(view.project(np.eye(6)), z, atol=1e-9)


def test_bad_matrices_are_refused() -> None:
    """One cell, constant genes only, NaN and other formats have their own errors."""
    with pytest.raises(ValueError, match="1 cells are too few"):
        standardise(_matrix()[:1])
    with pytest.raises(ValueError, match="All 2 genes are constant"):
        standardise(sparse.csr_matrix(np.ones((5, 2))))
    with pytest.raises(TypeError, match="csr_matrix"):
        standardise(_matrix().tocsc())
    broken = _matrix()
    broken.data[0] = np.nan
    with pytest.raises(ValueError, match=r"1 of .* NaN"):
        standardise(broken)


@pytest.mark.parametrize("shape", [(90, 30), (2 * BLOCK_CELLS + 5, 12), (40, BLOCK_CELLS + 60)])
def test_correlation_agrees_with_numpy(shape: tuple[int, int]) -> None:
    """To 1e-5, over several blocks of cells and of genes; symmetric, with a diagonal of exactly 1."""
    x = _matrix(*shape)
    ours = correlation(x)
    varying = np.ones(shape[1], dtype=bool)
    varying[standardise(x).sd == 0] = False
    expected = np.eye(shape[1])
    expected[np.ix_(varying, varying)] = np.corrcoef(x.toarray()[:, varying].astype(np.float64), rowvar=False)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, expected, atol=1e-5)
    np.testing.assert_array_equal(ours, ours.T)
    assert (np.diag(ours) == 1).all()
