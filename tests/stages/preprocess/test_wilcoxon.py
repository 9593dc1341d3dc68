"""The rank-sum test of every gene: scanpy's numbers, and van Elteren's when stratified."""

import anndata
import numpy as np
import pandas as pd
import pytest
import scanpy
from scipy import sparse, stats

from stagewright.stages.preprocess.normalise import log_normalise
from stagewright.stages.preprocess.wilcoxon import wilcoxon


def _cells(n_cells: int = 400, n_genes: int = 120, seed: int = 0) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Log-normalised counts with a constant gene, an all-zero one, stored zeros, and six that differ by the label."""
    rng = np.random.default_rng(seed)
    positive = rng.random(n_cells) < 0.15
    mean = np.tile(rng.gamma(0.5, 1.0, n_genes), (n_cells, 1))
    mean[:, :6] *= np.where(positive[:, None], 4.0, 1.0)
    counts = rng.poisson(mean).astype(np.float32)
    counts[:, 10] = 0
    expression = log_normalise(sparse.csr_matrix(counts)).toarray()
    expression[:, 11] = 1.5
    matrix = sparse.csr_matrix(expression)
    matrix.data[matrix.indices == 12] = 0  # a gene whose zeros are stored
    return matrix, positive


@pytest.mark.slow
@pytest.mark.parametrize("tie_correct", [True, False])
def test_scores_and_p_values_are_those_of_scanpy(tie_correct: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Scores to 1e-5 (scanpy keeps float32), p and adjusted p to 1e-9, log fold changes to 1e-5."""
    expression, positive = _cells()
    obs = pd.DataFrame({"label": pd.Categorical(np.where(positive, "a", "b"))}, index=np.arange(400).astype(str))
    adata = anndata.AnnData(X=expression.copy(), obs=obs)
    with np.errstate(invalid="ignore"):  # scanpy divides 0 by 0 for a constant gene, and then takes 0
        scanpy.tl.rank_genes_groups(
            adata, "label", groups=["a"], reference="b", method="wilcoxon", tie_correct=tie_correct, use_raw=False
        )
    theirs = scanpy.get.rank_genes_groups_df(adata, "a").set_index("names").loc[adata.var_names]
    ours = wilcoxon(expression, positive, tie_correct=tie_correct)
    np.testing.assert_allclose(ours.score, theirs["scores"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ours.p, theirs["pvals"], rtol=1e-9)
    np.testing.assert_allclose(ours.p_adjusted, theirs["pvals_adj"], rtol=1e-9)
    np.testing.assert_allclose(ours.log2_fold_change, theirs["logfoldchanges"], rtol=1e-5, atol=1e-6)
    assert (ours.n_positive, ours.n_negative, ours.n_strata) == (positive.sum(), (~positive).sum(), 1)
    assert np.all(ours.score[10:13] == 0)
    assert np.all(ours.p[10:13] == 1)


def test_strata_are_compared_within_and_joined_by_van_elterens_weights() -> None:
    """Against ranks of scipy stratum by stratum; a stratum of one class says nothing."""
    expression, positive = _cells(n_cells=600)
    rng = np.random.default_rng(5)
    strata = np.array(["p1", "p2", "p3", "none"])[rng.integers(0, 4, 600)]
    positive &= strata != "none"
    found = wilcoxon(expression, positive, strata=strata)
    dense = expression.toarray()
    numerator, variance = np.zeros(120), np.zeros(120)
    for name in ("p1", "p2", "p3"):
        rows = strata == name
        label = positive[rows]
        n, first = len(label), int(label.sum())
        for gene in range(120):
            values = dense[rows, gene]
            ranks = stats.rankdata(values)
            numerator[gene] += (ranks[label].sum() - first * (n + 1) / 2) / (n + 1)
            spread = stats.tiecorrect(ranks) * first * (n - first) * (n + 1) / 12
            variance[gene] += spread / (n + 1) ** 2
    expected = np.divide(numerator, np.sqrt(variance), out=np.zeros(120), where=variance > 0)
    np.testing.assert_allclose(found.score, expected, rtol=1e-10, atol=1e-12)
    assert (found.n_positive, found.n_negative) == (positive.sum(), (~positive & (strata != "none")).sum())
    assert found.n_strata == 3


def test_a_difference_between_patients_is_none_within_them() -> None:
    """A gene that only marks the patient with most positive cells has a high score, and none within patients."""
    rng = np.random.default_rng(1)
    patient = np.repeat(["a", "b"], 500)
    positive = rng.random(1000) < np.where(patient == "a", 0.8, 0.1)
    expression = sparse.csr_matrix(rng.poisson(np.where(patient == "a", 3.0, 0.3), (1, 1000)).T.astype(np.float32))
    assert wilcoxon(expression, positive).score[0] > 10
    assert abs(wilcoxon(expression, positive, strata=patient).score[0]) < 3


def test_what_cannot_be_compared_is_refused() -> None:
    """Too few cells of a class, negative values, arrays that do not fit: each with its reason."""
    expression, positive = _cells()
    few = np.arange(400) < 9
    with pytest.raises(ValueError, match="there are 9 positive and 391 negative cells; at least 10 of each are needed"):
        wilcoxon(expression, few)
    with pytest.raises(ValueError, match="there are 0 positive"):
        wilcoxon(expression, np.zeros(400, dtype=bool))
    with pytest.raises(ValueError, match="in the 0 of 400 strata that have both classes"):
        wilcoxon(expression, positive, strata=np.arange(400))
    with pytest.raises(ValueError, match=r"bool of \(400,\) is needed"):
        wilcoxon(expression, positive[:5])
    with pytest.raises(ValueError, match="strata have shape"):
        wilcoxon(expression, positive, strata=np.arange(4))
    expression.data[0] = -1
    with pytest.raises(ValueError, match="negative or missing"):
        wilcoxon(expression, positive)
    expression.data[0] = np.nan
    with pytest.raises(ValueError, match="negative or missing"):
        wilcoxon(expression, positive)
