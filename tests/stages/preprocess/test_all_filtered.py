"""The detection filter, and the rescue of rare genes that mark the positive class."""

import numpy as np
import pytest
from scipy import sparse

from stagewright.stages.preprocess.all_filtered import select_all_filtered


def _counts(detected: list[int], n_cells: int) -> sparse.csr_matrix:
    """Gene j is seen in the first detected[j] cells."""
    return sparse.csr_matrix((np.arange(n_cells)[:, None] < np.array(detected)).astype(np.float32))


def test_the_bound_is_the_ceiling_of_the_written_fraction() -> None:
    """0.07 of 100 cells is 7, although 0.07 * 100 > 7 in floating point; 0.071 asks for 8."""
    counts = _counts([6, 7, 8, 100], 100)
    assert select_all_filtered(counts, min_cells_fraction=0.07).mask.tolist() == [False, True, True, True]
    assert select_all_filtered(counts, min_cells_fraction=0.071).mask.tolist() == [False, False, True, True]


def test_all_zero_genes_never_pass_and_stored_zeros_are_no_detection() -> None:
    """A fraction of 0 still asks for one cell with a count."""
    counts = _counts([0, 1, 5], 10)
    counts.data[counts.indices == 1] = 0.0
    selection = select_all_filtered(counts, min_cells_fraction=0.0)
    assert selection.mask.tolist() == [False, False, True]
    assert selection.log["n_genes_all_zero"] == 2
    assert not selection.supervised


def test_the_rescue_agrees_with_its_definition() -> None:
    """Against a plain reading of the definition on random data; the log counts the rescued genes."""
    rng = np.random.default_rng(0)
    positive = rng.random(400) < 0.3
    rate = np.where(positive[:, None], rng.random(200) * 0.3, rng.random(200) * 0.02)
    dense = (rng.random((400, 200)) < rate).astype(np.float32)
    selection = select_all_filtered(
        sparse.csr_matrix(dense), min_cells_fraction=0.08, enrichment_ratio=20, positive=positive
    )
    expected = np.zeros(200, dtype=bool)
    rescued = 0
    for gene in range(200):
        seen = dense[:, gene] > 0
        if seen.sum() >= 32:
            expected[gene] = True
        elif seen[positive].sum() >= 10 and seen[positive].mean() >= 20 * seen[~positive].mean():
            expected[gene] = True
            rescued += 1
    assert 0 < rescued < 200
    np.testing.assert_array_equal(selection.mask, expected)
    assert selection.log["n_genes_rescued"] == rescued
    assert selection.log["n_genes_after"] == expected.sum()
    assert selection.supervised


def test_bad_requests_are_refused() -> None:
    """Each wrong parameter has an error that says what is allowed."""
    counts = _counts([3, 5], 10)
    with pytest.raises(ValueError, match=r"share of cells in \[0, 1\]"):
        select_all_filtered(counts, min_cells_fraction=1.5)
    with pytest.raises(ValueError, match="No gene is detected in at least 9 of 10"):
        select_all_filtered(counts, min_cells_fraction=0.9)
    with pytest.raises(ValueError, match="needs the label"):
        select_all_filtered(counts, min_cells_fraction=0.1, enrichment_ratio=2)
    with pytest.raises(ValueError, match="0 positive and 10 negative"):
        select_all_filtered(counts, min_cells_fraction=0.1, enrichment_ratio=2, positive=np.zeros(10, dtype=bool))
    with pytest.raises(ValueError, match="must be >= 1"):
        select_all_filtered(counts, min_cells_fraction=0.1, enrichment_ratio=0.5, positive=np.ones(10, dtype=bool))
    with pytest.raises(ValueError, match="boolean array"):
        select_all_filtered(counts, min_cells_fraction=0.1, enrichment_ratio=2, positive=np.arange(10))  # type: ignore[arg-type]  # the mistake under test
