"""Highly variable genes: the same as scanpy's, and none that is zero."""

import importlib.util

import anndata
import numpy as np
import pandas as pd
import pytest
import scanpy
from scipy import sparse

from stagewright.stages.preprocess.hvg import SPANS, select_hvg


def _counts(n_cells: int = 300, n_genes: int = 400, seed: int = 0) -> sparse.csr_matrix:
    """Negative-binomial counts whose first 40 genes vary between two groups of cells; the last 10 are all zero."""
    rng = np.random.default_rng(seed)
    mean = rng.gamma(1.0, 2.0, n_genes) + 0.3
    group = rng.integers(0, 2, n_cells)
    means = np.tile(mean, (n_cells, 1))
    means[:, :40] *= np.where(group[:, None] == 1, 4.0, 0.25)
    dispersion = 3.0
    counts = rng.negative_binomial(dispersion, dispersion / (dispersion + means)).astype(np.float32)
    counts[:, -10:] = 0
    return sparse.csr_matrix(counts)


@pytest.mark.parametrize("batched", [False, True])
def test_selection_is_that_of_scanpy(batched: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """With and without batches the genes, ranks and standardised variances are scanpy's seurat_v3."""
    counts = _counts()
    batch = np.array(["a", "b", "c"])[np.arange(300) % 3]
    adata = anndata.AnnData(
        X=counts, obs=pd.DataFrame({"batch": pd.Categorical(batch)}, index=np.arange(300).astype(str))
    )
    theirs = scanpy.pp.highly_variable_genes(
        adata, flavor="seurat_v3", n_top_genes=60, batch_key="batch" if batched else None, inplace=False
    )
    ours = select_hvg(counts, n_top_genes=60, batch=batch if batched else None)
    assert ours.log["n_batches_widened"] == 0
    np.testing.assert_array_equal(ours.mask, theirs["highly_variable"].to_numpy())
    scores = {name: values.astype(np.float64) for name, values in ours.table.items()}
    # Equal genes may swap places: ours go by gene order, scanpy's as its sort leaves them.
    np.testing.assert_allclose(scores["rank"][:-10], theirs["highly_variable_rank"].to_numpy()[:-10], atol=1)
    np.testing.assert_allclose(
        scores["variance_standardised"][:-10], theirs["variances_norm"].to_numpy()[:-10], rtol=1e-9
    )
    np.testing.assert_allclose(scores["variance"][:-10], theirs["variances"].to_numpy()[:-10], rtol=1e-5)
    assert not ours.supervised


def test_planted_genes_are_found() -> None:
    """Genes that differ between groups come out on top."""
    selection = select_hvg(_counts(), n_top_genes=40)
    assert selection.mask[:40].sum() >= 36


def test_asking_for_more_genes_than_there_are_takes_all_but_the_zero_ones() -> None:
    """All genes with counts are kept, none that is zero everywhere, and the log says so."""
    selection = select_hvg(_counts(), n_top_genes=395)
    assert selection.n_selected == 390
    assert not selection.mask[-10:].any()
    assert selection.log["n_genes_all_zero"] == 10
    assert "all are kept" in str(selection.log["note"])


def test_a_singular_fit_is_repeated_with_a_wider_window_and_logged() -> None:
    """Where most genes are seen once the fit's window widens for that batch only, and the log names it."""
    rng = np.random.default_rng(1)
    n_genes = 900
    rich = rng.negative_binomial(2, 2 / (2 + rng.gamma(1.0, 2.0, n_genes) + 0.3), size=(200, n_genes))
    poor = np.zeros((40, n_genes), dtype=np.int64)
    poor[rng.integers(0, 40, n_genes), np.arange(n_genes)] = 1  # one count in every gene
    poor[:, :420] += rng.poisson(rng.gamma(1.0, 2.0, 420) + 0.2, size=(40, 420))
    counts = sparse.csr_matrix(np.vstack([rich, poor]).astype(np.float32))
    selection = select_hvg(counts, n_top_genes=100, batch=np.repeat(["rich", "poor"], [200, 40]))
    spans = selection.log["span_by_batch"]
    assert isinstance(spans, dict)
    assert spans["rich"] == SPANS[0]
    assert spans["poor"] in SPANS[1:]
    assert selection.log["n_batches_widened"] == 1
    assert selection.n_selected == 100


def test_a_fit_that_cannot_be_made_is_an_error_that_says_what_to_change() -> None:
    """Counts in which every gene has the same mean and variance leave nothing to fit."""
    counts = sparse.csr_matrix(np.eye(12, 50, dtype=np.float32)[:, np.arange(50) % 12])
    with pytest.raises(ValueError, match=r"batch all \(12 cells\).*more cells per patient"):
        select_hvg(counts, n_top_genes=5)


def test_small_slices_of_patients_work() -> None:
    """A smoke slice of 8 patients with 100 sparse cells each gives its genes."""
    rng = np.random.default_rng(3)
    rate = rng.gamma(0.15, 1.0, 3000)
    counts = sparse.csr_matrix(rng.poisson(rate, size=(800, 3000)).astype(np.float32))
    selection = select_hvg(counts, n_top_genes=500, batch=np.repeat(np.arange(8), 100))
    assert selection.n_selected == 500
    assert not selection.mask[np.asarray(counts.sum(axis=0)).ravel() == 0].any()


def test_normalised_expression_only_adds_a_column() -> None:
    """The selection does not depend on the normalised matrix."""
    counts = _counts()
    plain = select_hvg(counts, n_top_genes=50)
    described = select_hvg(counts, n_top_genes=50, normalised=counts)
    np.testing.assert_array_equal(plain.mask, described.mask)
    np.testing.assert_allclose(
        described.table["mean_log_normalised"].astype(np.float64), counts.toarray().mean(axis=0), rtol=1e-6
    )


def test_bad_requests_are_refused() -> None:
    """No genes asked for, all-zero counts, tiny or misshapen batches: each has its own error."""
    counts = _counts()
    with pytest.raises(ValueError, match="n_top_genes is 0"):
        select_hvg(counts, n_top_genes=0)
    with pytest.raises(ValueError, match="All 400 genes are zero"):
        select_hvg(sparse.csr_matrix((300, 400), dtype=np.float32), n_top_genes=5)
    with pytest.raises(ValueError, match=r"fewer than 3 cells.*x \(2\)"):
        select_hvg(counts, n_top_genes=5, batch=np.array(["x"] * 2 + ["y"] * 298))
    with pytest.raises(ValueError, match=r"shape \(300,\)"):
        select_hvg(counts, n_top_genes=5, batch=np.array(["x"] * 299))


def test_a_missing_package_is_an_error_not_a_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without scikit-misc the error names it."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(ModuleNotFoundError, match="scikit-misc"):
        select_hvg(_counts(), n_top_genes=50)
