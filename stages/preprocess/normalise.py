"""Raw counts, checked, and brought to the sparse scales of a study without ever being densified."""

import numpy as np
import numpy.typing as npt
from scipy import sparse

from stagewright.state.spec.normalisation import LibrarySize, Log1p, NoNormalisation, Normalisation

__all__ = ["TARGET_SUM", "CountsUnusable", "check_counts", "log_normalise", "normalise"]

TARGET_SUM = 1e4
"""The custom; what a study says is `normalisation.target_sum`."""


class CountsUnusable(ValueError):  # noqa: N818 - names the state of the data, as Refusal names the reply
    """The matrix does not hold raw counts; the message says how many entries are wrong, and how."""


def check_counts(counts: sparse.csr_matrix) -> None:
    """Check that a matrix holds raw counts.

    Parameters
    ----------
    counts
        CSR matrix of shape (n_cells, n_genes).

    Raises
    ------
    TypeError
        The matrix is not CSR.
    CountsUnusable
        Some entries are not finite, are negative, or are not whole numbers. The text says how many.
    """
    _check_finite_and_non_negative(counts)
    fractional = int(np.count_nonzero(counts.data != np.rint(counts.data)))
    if fractional:
        raise CountsUnusable(
            f"{fractional:,} of {counts.nnz:,} stored counts are not whole numbers: this is not a raw count matrix. "
            "Point `data.counts` at the raw counts (X, layers/<name> or raw)."
        )


def normalise(
    counts: sparse.csr_matrix,
    normalisation: Normalisation,
    genes: npt.NDArray[np.bool_] | None = None,
    *,
    totals: npt.NDArray[np.float64] | None = None,
) -> sparse.csr_matrix:
    """Bring counts to one of the sparse scales.

    Parameters
    ----------
    counts
        Non-negative CSR matrix of shape (n_cells, n_genes); left untouched.
    normalisation
        `log1p`, `library_size` or `none`.
    genes
        The genes to return, a mask of shape (n_genes,), or None for all. Library sizes are over all genes; no copy of
        the others is made.
    totals
        Library size of each cell, shape (n_cells,); None to sum them here.

    Returns
    -------
    sparse.csr_matrix
        float32, the same sparsity. A cell without counts stays zero.

    Raises
    ------
    TypeError
        The matrix is not CSR.
    CountsUnusable
        Some counts are negative or not finite; the text says how many.
    ValueError
        The scale is not sparse: Pearson residuals are looked at through `pearson_residuals.pearson_residuals`.
    """
    match normalisation:
        case Log1p():
            return _log1p(_to_library_size(counts, normalisation.target_sum, genes, totals))
        case LibrarySize():
            return _to_library_size(counts, normalisation.target_sum, genes, totals)
        case NoNormalisation():
            _check_finite_and_non_negative(counts)
            return sparse.csr_matrix(_chosen(counts, genes), dtype=np.float32, copy=True)
        case _:
            raise ValueError(f"{normalisation.method} has no zeros to leave out, so it is never written as a matrix.")


def log_normalise(
    counts: sparse.csr_matrix, target_sum: float = TARGET_SUM, *, totals: npt.NDArray[np.float64] | None = None
) -> sparse.csr_matrix:
    """Scale each cell to the same total and take log(1 + x).

    Parameters
    ----------
    counts
        Non-negative CSR matrix of shape (n_cells, n_genes); left untouched.
    target_sum
        Total that every cell is scaled to, in counts.
    totals
        Library size of each cell, shape (n_cells,), where `counts` are those of some genes only; None to sum them here.

    Returns
    -------
    sparse.csr_matrix
        float32, the same shape and sparsity. A cell without counts stays zero.

    Raises
    ------
    TypeError
        The matrix is not CSR.
    CountsUnusable
        Some counts are negative or not finite; the text says how many.
    ValueError
        `target_sum` is not positive.
    """
    return _log1p(_to_library_size(counts, target_sum, None, totals))


def _log1p(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    np.log1p(matrix.data, out=matrix.data)
    return matrix


def _chosen(counts: sparse.csr_matrix, genes: npt.NDArray[np.bool_] | None) -> sparse.csr_matrix:
    return counts if genes is None else sparse.csr_matrix(counts[:, genes])


def _to_library_size(
    counts: sparse.csr_matrix,
    target_sum: float,
    genes: npt.NDArray[np.bool_] | None,
    totals: npt.NDArray[np.float64] | None,
) -> sparse.csr_matrix:
    if not target_sum > 0:
        raise ValueError(f"target_sum is {target_sum}; it must be positive (1e4 is the custom).")
    _check_finite_and_non_negative(counts)
    # Summed in float64.
    sums = np.asarray(counts @ np.ones(counts.shape[1]) if totals is None else totals, dtype=np.float64)
    factors = np.divide(target_sum, sums, out=np.zeros_like(sums), where=sums > 0).astype(np.float32)
    chosen = _chosen(counts, genes)
    values: npt.NDArray[np.float32] = chosen.data.astype(np.float32)
    values *= np.repeat(factors, np.diff(chosen.indptr))
    return sparse.csr_matrix((values, chosen.indices.copy(), chosen.indptr.copy()), shape=chosen.shape)


def _check_finite_and_non_negative(counts: sparse.csr_matrix) -> None:
    if not sparse.issparse(counts) or counts.format != "csr":
        raise TypeError(f"counts are {type(counts).__name__}; convert them with scipy.sparse.csr_matrix first.")
    not_finite = counts.nnz - int(np.count_nonzero(np.isfinite(counts.data)))
    negative = int(np.count_nonzero(counts.data < 0))
    if not_finite or negative:
        raise CountsUnusable(
            f"Of {counts.nnz:,} stored counts {not_finite:,} are NaN or infinite and {negative:,} are negative; "
            "counts must be finite and >= 0. Point `data.counts` at the raw counts."
        )
