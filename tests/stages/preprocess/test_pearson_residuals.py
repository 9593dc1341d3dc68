"""Pearson residuals as a view: scanpy's values, standardised, in any blocks, never the whole matrix."""

import anndata
import numpy as np
import pytest
import scanpy
from scipy import sparse

from stagewright.stages.preprocess.normalise import CountsUnusable
from stagewright.stages.preprocess.pearson_residuals import PearsonResidualView, pearson_residuals
from stagewright.stages.preprocess.scale import unseen_cells
from stagewright.stages.reduction.correlation import correlation
from stagewright.stages.reduction.pca import fit_pca


def _counts(n_cells: int = 700, n_genes: int = 60) -> sparse.csr_matrix:
    rng = np.random.default_rng(3)
    depth = rng.lognormal(0, 0.5, (n_cells, 1))
    counts = rng.negative_binomial(0.5, 0.5 / (0.5 + depth * rng.gamma(0.5, 2.0, n_genes))).astype(np.float32)
    counts[5:8, 1] = 400  # beyond the clip
    counts[:, 7] = 0
    counts[11] = 0
    return sparse.csr_matrix(counts)


def _theirs(counts: sparse.csr_matrix, theta: float = 100) -> np.ndarray:
    adata = anndata.AnnData(X=counts.toarray().astype(np.float64))
    with np.errstate(invalid="ignore"):  # scanpy divides 0 by 0 for what has no counts
        scanpy.experimental.pp.normalize_pearson_residuals(adata, theta=theta)
    return np.nan_to_num(np.asarray(adata.X))


@pytest.mark.parametrize("theta", [100.0, 5.0])
def test_residuals_are_those_of_scanpy(theta: float) -> None:
    """To 1e-6, clipped ones included; cells and genes without counts are 0 where scanpy has no number."""
    counts = _counts()
    view = pearson_residuals(counts, theta=theta)
    ours = np.vstack([block.copy() for block in view.residuals(256)])
    theirs = _theirs(counts, theta)
    assert ours.max() == pytest.approx(np.sqrt(700))
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)
    assert not ours[:, 7].any()
    assert not ours[11].any()


def test_the_view_is_standardised_whatever_the_blocks() -> None:
    """Blocks of any size are the standardised residuals; projecting is multiplying; a selection changes no gene."""
    counts = _counts()
    genes = np.arange(60) % 3 == 1
    view = pearson_residuals(counts, genes)
    theirs = _theirs(counts)[:, genes]
    sd = theirs.std(axis=0)
    z = (theirs - theirs.mean(axis=0)) / np.where(sd > 0, sd, 1)
    for n_rows in (1, 100, 5000):
        blocks = list(view.dense_blocks(n_rows))
        assert {block.dtype for block in blocks} == {np.dtype(np.float32)}
        np.testing.assert_allclose(np.vstack(blocks), z, atol=1e-4, rtol=1e-5)
    assert view.shape == (700, 20)
    assert view.n_varying == np.count_nonzero(sd) < 20  # gene 7 has no counts
    weights = np.random.default_rng(0).normal(size=(20, 4))
    np.testing.assert_allclose(view.project(weights), z @ weights, rtol=1e-6, atol=1e-5)


def test_reductions_look_at_the_blocks() -> None:
    """Components and correlations are those of scanpy's residuals, standardised by numpy and decomposed there."""
    counts = _counts()
    view = pearson_residuals(counts)
    theirs = _theirs(counts)
    varying = theirs.std(axis=0) > 0
    z = np.where(varying, (theirs - theirs.mean(axis=0)) / np.where(varying, theirs.std(axis=0), 1), 0)
    variances = np.linalg.svd(z, compute_uv=False)[:4] ** 2 / 700
    found = fit_pca(view, [4], seed=0)[4]
    np.testing.assert_allclose(found.arrays["variances"].astype(np.float64), variances, rtol=1e-4)
    assert found.extras["explained"] == pytest.approx(variances.sum() / varying.sum(), rel=1e-4)
    expected = z.T @ z / 700
    np.fill_diagonal(expected, 1)
    np.testing.assert_allclose(correlation(view), expected, atol=1e-5)


def test_other_cells_are_seen_with_what_was_fitted() -> None:
    """The view of some of the cells, by the shares and moments of all, is that part of the whole view."""
    counts = _counts()
    view = pearson_residuals(counts)
    some = np.arange(700) % 5 == 0
    other = view.of_other_cells(counts[some], np.asarray(counts[some].sum(axis=1)).ravel())
    whole = np.vstack(list(view.dense_blocks(700)))
    np.testing.assert_array_equal(np.vstack(list(other.dense_blocks(64))), whole[some])


def test_a_view_is_cut_to_cells_anew_or_as_they_were_seen() -> None:
    """Refitted cells are those of a view of these cells alone; seen as for a fit they are what the fit's view says."""
    counts = _counts()
    genes = np.arange(60) % 2 == 0
    whole = pearson_residuals(counts, genes)
    rows = np.random.default_rng(2).integers(0, 700, 500)
    anew = whole.of_cells(rows)
    alone = pearson_residuals(counts[rows], genes)
    assert anew.clip == alone.clip == np.sqrt(500)
    np.testing.assert_allclose(np.vstack([*anew.dense_blocks(99)]), np.vstack([*alone.dense_blocks(500)]), atol=1e-6)
    mask = np.arange(700) % 3 == 0
    seen = unseen_cells(whole, mask, anew)
    assert isinstance(seen, PearsonResidualView)
    totals = np.asarray(counts[mask].sum(axis=1)).ravel()
    other = anew.of_other_cells(counts[mask][:, genes], totals)
    np.testing.assert_array_equal(np.vstack([*seen.dense_blocks(64)]), np.vstack([*other.dense_blocks(64)]))
    np.testing.assert_array_equal(seen.sd, anew.sd)
    assert unseen_cells(whole, None, anew).shape == (700, 30)


def test_what_cannot_be_residuals_is_refused() -> None:
    """Numbers that are no counts, no counts at all, a theta of 0."""
    counts = _counts()
    with pytest.raises(ValueError, match="theta is 0"):
        pearson_residuals(counts, theta=0)
    with pytest.raises(ValueError, match="All 60 genes are zero in all 700 cells"):
        pearson_residuals(sparse.csr_matrix(counts.shape, dtype=np.float32))
    with pytest.raises(ValueError, match="None of the 1 genes varies"):
        pearson_residuals(counts, np.arange(60) == 7)
    counts.data += 0.5
    with pytest.raises(CountsUnusable, match="not whole numbers"):
        pearson_residuals(counts)
