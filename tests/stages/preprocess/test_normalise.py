"""Counts are checked, and log-normalised without being densified or touched."""

import anndata
import numpy as np
import pytest
import scanpy
from scipy import sparse

from stagewright.stages.preprocess.normalise import check_counts, log_normalise


def _counts(seed: int = 0) -> sparse.csr_matrix:
    rng = np.random.default_rng(seed)
    return sparse.csr_matrix(rng.negative_binomial(2, 0.7, size=(60, 40)).astype(np.float32))


def test_log_normalise_agrees_with_scanpy() -> None:
    """Each cell is scaled to 10,000 counts and logged, as scanpy does it."""
    counts = _counts()
    adata = anndata.AnnData(X=counts.copy())
    scanpy.pp.normalize_total(adata, target_sum=1e4)
    scanpy.pp.log1p(adata)
    ours = log_normalise(counts)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours.toarray(), adata.X.toarray(), rtol=1e-5)


def test_log_normalise_leaves_its_input_alone_and_keeps_empty_cells_zero() -> None:
    """A cell without counts stays zero, and neither values nor index arrays are shared with the input."""
    dense = _counts().toarray()
    dense[7] = 0
    counts = sparse.csr_matrix(dense)
    ours = log_normalise(counts)
    assert np.isfinite(ours.data).all()
    assert ours[7].nnz == 0
    np.testing.assert_array_equal(counts.toarray(), dense)
    assert not np.shares_memory(ours.indices, counts.indices)
    assert ours.nnz == counts.nnz


@pytest.mark.parametrize(("value", "text"), [(np.nan, "2 are NaN"), (-1.0, "2 are negative"), (np.inf, "2 are NaN")])
def test_bad_counts_are_counted_in_the_error(value: float, text: str) -> None:
    """The error says how many entries are bad."""
    counts = _counts()
    counts.data[:2] = value
    with pytest.raises(ValueError, match=text):
        log_normalise(counts)
    with pytest.raises(ValueError, match=text):
        check_counts(counts)


def test_fractional_counts_are_refused_as_raw_counts_only() -> None:
    """check_counts refuses values that are not whole; normalising them is allowed."""
    counts = _counts()
    counts.data[:3] += 0.5
    with pytest.raises(ValueError, match=r"3 of .* not whole numbers"):
        check_counts(counts)
    log_normalise(counts)


def test_other_formats_and_targets_are_refused() -> None:
    """Only CSR is taken, and the target must be positive."""
    with pytest.raises(TypeError, match="csr_matrix"):
        check_counts(_counts().tocsc())
    with pytest.raises(ValueError, match="target_sum is 0"):
        log_normalise(_counts(), target_sum=0)
