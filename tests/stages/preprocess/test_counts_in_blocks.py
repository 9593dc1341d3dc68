"""Genes are chosen, and their expression is built, from counts in blocks as from counts in memory: bit for bit."""

# Tables, JSON and libraries without types: what is read from them is compared, not computed with.
# pyright: reportArgumentType=false

import numpy as np
import pytest
from scipy import sparse

from stagewright.stages.cohort import counts_source
from stagewright.stages.cohort.counts_source import GeneSubset, MemoryCounts
from stagewright.stages.preprocess.expression import selected_counts, selected_expression
from stagewright.stages.preprocess.normalise import normalise
from stagewright.stages.preprocess.select import column_of, select_genes_of
from stagewright.state.spec.normalisation import LibrarySize, Log1p, NoNormalisation, Normalisation
from stagewright.state.spec.preprocess import (
    AllFiltered,
    DegWeakScreen,
    Hvg,
    Hybrid,
    NoiseFilter,
    Preprocess,
    TwoStage,
)

ENTRIES: list[Preprocess] = [
    Hvg(method="hvg", n_top_genes=40),
    Hvg(method="hvg", n_top_genes=40, batch="patient"),
    AllFiltered(
        method="all_filtered", min_cells_fraction=0.3, enrichment_ratio=2, noise_filter=NoiseFilter(mean_quantile=0.5)
    ),
    Hybrid(method="hybrid", n_top_genes=30, min_cells_fraction=0.3, enrichment_ratio=2),
    DegWeakScreen(method="deg_weak_screen", p=0.2, lfc=0.05, min_genes=20, within="patient"),
    TwoStage(method="two_stage", min_cells_fraction=0.1, n_top_genes=40, n_hvg=20),
]


@pytest.fixture(scope="module")
def counts() -> sparse.csr_matrix:
    """240 cells of three patients x 150 genes, negative binomial, the first half of each patient positive."""
    rng = np.random.default_rng(4)
    rate = rng.lognormal(-1, 1.5, size=150) * rng.lognormal(0, 0.5, size=(240, 1))
    rate[np.arange(240) % 80 < 40, :20] *= 3
    return sparse.csr_matrix(rng.negative_binomial(4, 4 / (4 + rate)).astype(np.float32))


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a block hold a few cells only."""
    monkeypatch.setattr(counts_source.block_bounds, "__defaults__", (500,))


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.tag)
def test_a_choice_of_genes_does_not_depend_on_blocks(counts: sparse.csr_matrix, entry: Preprocess) -> None:
    """Many blocks give the genes, the log and every score that one block gives."""
    positive = np.arange(240) % 80 < 40
    columns = {"patient": np.repeat(["p1", "p2", "p3"], 80)} if column_of(entry) else None
    with pytest.MonkeyPatch.context() as whole:
        whole.setattr(counts_source.block_bounds, "__defaults__", (2**22,))
        at_once = select_genes_of(entry, counts, positive, columns=columns)
    source = GeneSubset(MemoryCounts(counts), np.arange(150))  # not in memory as a whole, as counts on the disk
    assert len([*source.blocks()]) > 10
    in_blocks = select_genes_of(entry, source, positive, columns=columns)
    assert np.array_equal(at_once.mask, in_blocks.mask)
    assert at_once.log == in_blocks.log
    for name, values in at_once.table.items():
        np.testing.assert_array_equal(values, in_blocks.table[name], err_msg=name)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(
    "scale", [Log1p(method="log1p", target_sum=5e3), LibrarySize(method="library_size"), NoNormalisation(method="none")]
)
def test_expression_of_some_genes(counts: sparse.csr_matrix, scale: Normalisation) -> None:
    """It has the bits of these columns of the whole; library sizes are those of all genes."""
    genes = np.arange(150) % 3 == 0
    ours = selected_expression(MemoryCounts(counts), genes, scale)
    expected = normalise(counts, scale)[:, genes]
    assert ours.dtype == np.float32
    assert ours.indices.dtype == ours.indptr.dtype == np.int32
    np.testing.assert_array_equal(ours.toarray(), expected.toarray())
    np.testing.assert_array_equal(selected_counts(MemoryCounts(counts), genes).toarray(), counts[:, genes].toarray())
