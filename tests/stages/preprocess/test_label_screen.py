"""Selections that look at the label: their thresholds, floors and unions, and what they cannot work on."""

import anndata
import numpy as np
import pytest
from pydantic import TypeAdapter
from scipy import sparse

from stagewright.stages.cohort.generate import generate_cohort
from stagewright.stages.preprocess.all_filtered import select_all_filtered
from stagewright.stages.preprocess.hvg import select_hvg
from stagewright.stages.preprocess.normalise import CountsUnusable, log_normalise
from stagewright.stages.preprocess.select import select_genes_of
from stagewright.stages.preprocess.selection import GeneSelection
from stagewright.stages.preprocess.wilcoxon import wilcoxon
from stagewright.state.spec.preprocess import NoiseFilter, Preprocess

READ: TypeAdapter[Preprocess] = TypeAdapter(Preprocess)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> anndata.AnnData:
    """Read a small built-in cohort, whose malignant programmes are known."""
    path = tmp_path_factory.mktemp("cohort") / "cohort.h5ad"
    generate_cohort(path, seed=2, n_patients=8, cells_per_patient=120, n_genes=500)
    return anndata.read_h5ad(path)


def _select(cohort: anndata.AnnData, **entry: object) -> GeneSelection:
    counts = sparse.csr_matrix(cohort.X)
    positive = (cohort.obs["CN.label"] == "cancer").to_numpy()
    columns = {"patient": cohort.obs["patient"].to_numpy().astype(str)}
    return select_genes_of(READ.validate_python(entry), counts, positive, columns=columns)


def test_the_weak_screen_keeps_what_passes_and_fills_up_by_rank(cohort: anndata.AnnData) -> None:
    """Against the definition on the test's own numbers; the planted malignant genes are on top."""
    counts = sparse.csr_matrix(cohort.X)
    positive = (cohort.obs["CN.label"] == "cancer").to_numpy()
    test = wilcoxon(log_normalise(counts), positive)
    passed = (test.p_adjusted < 0.01) & (np.abs(test.log2_fold_change) > 0.5)
    n_passed = int(passed.sum())
    assert 20 < n_passed < 300
    loose = _select(cohort, method="deg_weak_screen", p=0.01, lfc=0.5, min_genes=2)
    np.testing.assert_array_equal(loose.mask, passed)
    assert (loose.log["n_genes_passed"], loose.log["n_genes_filled_by_rank"]) == (n_passed, 0)
    filled = _select(cohort, method="deg_weak_screen", p=0.01, lfc=0.5, min_genes=n_passed + 30)
    assert filled.n_selected == n_passed + 30
    others = np.flatnonzero(~passed)
    best = others[np.argsort(-np.abs(test.score[others]), kind="stable")[:30]]
    np.testing.assert_array_equal(np.flatnonzero(filled.table["filled_by_rank"]), np.sort(best))
    planted = cohort.var["programme"].astype(str).str.startswith("malignant").to_numpy()
    assert planted[np.argsort(-test.score)[:10]].all()
    assert loose.mask[planted].mean() > 0.7
    assert loose.supervised


def test_within_patients_the_planted_genes_are_found_too(cohort: anndata.AnnData) -> None:
    """The screen within patients says how many patients it compared."""
    found = _select(cohort, method="deg_weak_screen", p=0.01, lfc=0.5, min_genes=2, within="patient")
    planted = cohort.var["programme"].astype(str).str.startswith("malignant").to_numpy()
    assert found.mask[planted].mean() > 0.7
    assert found.log["n_strata_compared"] == 7  # the last patient has normal cells only


def test_hybrid_is_the_union_of_its_parts(cohort: anndata.AnnData) -> None:
    """Highly variable genes and those that all_filtered rescues with the same parameters, counted apart."""
    counts = sparse.csr_matrix(cohort.X)
    positive = (cohort.obs["CN.label"] == "cancer").to_numpy()
    found = _select(cohort, method="hybrid", n_top_genes=50, min_cells_fraction=0.3, enrichment_ratio=2)
    variable = select_hvg(counts, n_top_genes=50).mask
    all_filtered = select_all_filtered(counts, min_cells_fraction=0.3, enrichment_ratio=2, positive=positive)
    rescued = all_filtered.table["rescued"].astype(bool)
    assert 0 < rescued.sum() < 100
    np.testing.assert_array_equal(found.mask, variable | rescued)
    assert found.log["n_genes_rescued_only"] == int((rescued & ~variable).sum())


def test_two_stages_choose_among_detected_genes(cohort: anndata.AnnData) -> None:
    """By the label alone, or variable genes first and a top-up by the label; never a gene that few cells have."""
    counts = sparse.csr_matrix(cohort.X)
    detected = select_all_filtered(counts, min_cells_fraction=0.1).mask
    by_label = _select(cohort, method="two_stage", min_cells_fraction=0.1, n_top_genes=60)
    test = wilcoxon(log_normalise(counts), (cohort.obs["CN.label"] == "cancer").to_numpy())
    order = [gene for gene in np.argsort(-np.abs(test.score), kind="stable") if detected[gene]]
    np.testing.assert_array_equal(np.flatnonzero(by_label.mask), np.sort(order[:60]))
    mixed = _select(cohort, method="two_stage", min_cells_fraction=0.1, n_top_genes=60, n_hvg=40)
    variable = np.flatnonzero(detected)[select_hvg(counts[:, detected], n_top_genes=40).mask]
    assert set(np.flatnonzero(mixed.table["by_variability"])) == set(variable)
    topped_up = [gene for gene in order if gene not in set(variable)][:20]
    assert set(np.flatnonzero(mixed.table["by_label"])) == set(topped_up)
    assert mixed.n_selected == 60
    every = _select(cohort, method="two_stage", min_cells_fraction=0.1, n_top_genes=5000)
    np.testing.assert_array_equal(every.mask, detected)
    assert "all of those are kept" in str(every.log["note"])


def test_the_noise_filter_drops_high_variance_at_low_mean(cohort: anndata.AnnData) -> None:
    """A gene with all its copies in few cells goes, by thresholds over the genes kept so far; the log has them."""
    dense = np.asarray(sparse.csr_matrix(cohort.X).todense())
    dense[:, 3] = 0
    dense[:5, 3] = 100
    counts = sparse.csr_matrix(dense)
    found = select_all_filtered(
        counts, min_cells_fraction=0.005, noise_filter=NoiseFilter(variance_percentile=90, mean_quantile=0.9)
    )
    kept = select_all_filtered(counts, min_cells_fraction=0.005).mask
    mean, variance = dense[:, kept].mean(axis=0), dense[:, kept].var(axis=0, ddof=1)
    noisy = (variance > np.percentile(variance, 90)) & (mean < np.quantile(mean, 0.9))
    assert found.table["removed_as_noise"][3]
    np.testing.assert_array_equal(np.flatnonzero(found.table["removed_as_noise"]), np.flatnonzero(kept)[noisy])
    np.testing.assert_array_equal(np.flatnonzero(found.mask), np.flatnonzero(kept)[~noisy])
    assert found.log["noise_filter"]["n_genes_removed"] == noisy.sum()  # type: ignore[index, call-overload]


@pytest.mark.parametrize(
    "entry",
    [
        {"method": "deg_weak_screen"},
        {"method": "two_stage"},
        {"method": "hybrid"},
        {"method": "all_filtered", "enrichment_ratio": 2},
    ],
)
def test_one_class_only_is_refused_with_the_reason(entry: dict[str, object], cohort: anndata.AnnData) -> None:
    """Whatever looks at the label says how many cells of each class there are."""
    counts = sparse.csr_matrix(cohort.X)
    with pytest.raises(ValueError, match=f"there are 0 positive and {cohort.n_obs} negative"):
        select_genes_of(READ.validate_python(entry), counts, np.zeros(cohort.n_obs, dtype=bool))


@pytest.mark.parametrize(
    "entry", [{"method": "deg_weak_screen"}, {"method": "two_stage"}, {"method": "hybrid"}, {"method": "hvg"}]
)
@pytest.mark.parametrize(("value", "says"), [(np.nan, "1 are NaN"), (-1.0, "1 are negative"), (1.5, "whole numbers")])
def test_numbers_that_are_no_counts_are_refused(
    entry: dict[str, object], value: float, says: str, cohort: anndata.AnnData
) -> None:
    """Missing, negative and fractional values each have their error, whatever the method."""
    counts = sparse.csr_matrix(cohort.X, copy=True)
    counts.data[5] = value
    with pytest.raises(CountsUnusable, match=says):
        select_genes_of(READ.validate_python(entry), counts, np.arange(cohort.n_obs) % 2 == 0)


def test_zero_genes_and_zero_cells_change_nothing_else(cohort: anndata.AnnData) -> None:
    """All-zero genes are never chosen, not to fill up either, and empty cells are cells like any other."""
    dense = np.asarray(sparse.csr_matrix(cohort.X).todense())
    dense[:, 100:] = 0
    dense[:30] = 0
    counts = sparse.csr_matrix(dense)
    positive = (cohort.obs["CN.label"] == "cancer").to_numpy()
    for entry in ({"method": "deg_weak_screen"}, {"method": "two_stage"}, {"method": "hybrid"}):
        found = select_genes_of(READ.validate_python(entry), counts, positive)
        assert not found.mask[100:].any()
        assert found.n_selected > 50
    screened = select_genes_of(READ.validate_python({"method": "deg_weak_screen"}), counts, positive)
    assert "all are kept" in str(screened.log["note"])
    with pytest.raises(ValueError, match="All 500 genes are zero"):
        select_genes_of(READ.validate_python({"method": "deg_weak_screen"}), sparse.csr_matrix(counts.shape), positive)


def test_a_column_that_is_not_given_is_named(cohort: anndata.AnnData) -> None:
    """Batches and strata need their column."""
    with pytest.raises(ValueError, match="needs the obs column 'site'"):
        _select(cohort, method="deg_weak_screen", within="site")
