"""Wilcoxon rank-sum test of every gene between positive and negative cells, sparse, and stratified on request."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from stagewright.stages.preprocess.rank_sum_kernel import rank_sums

__all__ = ["MIN_CLASS_CELLS", "RankSumTest", "wilcoxon"]

Float64Array = npt.NDArray[np.float64]

MIN_CLASS_CELLS = 10
"""Fewer cells of a class than this have no usable normal approximation; scanpy hints at it up to 25."""

PSEUDO = 1e-9
"""scanpy's: keeps the fold change of a gene that one class does not express finite."""


@dataclass(frozen=True, slots=True)
class RankSumTest:
    """The test of each gene; every array has shape (n_genes,).

    Attributes
    ----------
    score
        Standardised rank sum; positive where the gene is higher in positive cells, 0 for a constant gene.
    p
        Two-sided, by the normal approximation.
    p_adjusted
        By Benjamini and Hochberg over all genes.
    log2_fold_change
        Of the means exp(mean log expression) - 1 of the two classes, as scanpy has it.
    n_positive, n_negative
        Cells compared.
    n_strata
        Strata with both classes; the others say nothing of a difference within strata.
    """

    score: Float64Array
    p: Float64Array
    p_adjusted: Float64Array
    log2_fold_change: Float64Array
    n_positive: int
    n_negative: int
    n_strata: int


def wilcoxon(
    expression: sparse.csr_matrix | Iterable[sparse.csr_matrix],
    positive: npt.NDArray[np.bool_],
    *,
    strata: npt.NDArray[np.generic] | None = None,
    tie_correct: bool = True,
) -> RankSumTest:
    """Compare positive with negative cells, gene by gene.

    Without strata this is `scanpy.tl.rank_genes_groups(method="wilcoxon")` of the positive class against the negative
    one. With strata (for example patients) ranks are taken within each stratum and the strata joined by van Elteren's
    weights 1 / (n + 1) (van Elteren 1960, Bull. Int. Stat. Inst. 37:351), so that what differs between patients only
    is no difference; the fold change is that of stratum means weighted by n_positive * n_negative / n.

    Parameters
    ----------
    expression
        Log-normalised CSR matrix of shape (n_cells, n_genes), non-negative; or one after the other matrices of some
        consecutive genes each, which together are that. Ranks are those of its float32 values.
    positive
        Boolean array of shape (n_cells,).
    strata
        Stratum of each cell, shape (n_cells,), or None.
    tie_correct
        Reduce the variance by the groups of equal values. In sparse data most cells are tied at zero, and without it
        scores are too small; scanpy leaves it out unless told.

    Raises
    ------
    ValueError
        Entries are negative, the arrays do not fit, or a class has fewer than 10 cells (with strata: in the strata
        that have both classes).
    """
    n_cells: int = expression.shape[0] if isinstance(expression, sparse.csr_matrix) else len(positive)  # pyright: ignore[reportAttributeAccessIssue]  # scipy has no types
    if positive.dtype != np.bool_ or positive.shape != (n_cells,):
        raise ValueError(f"positive is {positive.dtype} of shape {positive.shape}; bool of ({n_cells},) is needed.")
    names = np.full(n_cells, "all") if strata is None else strata.astype(str)
    if names.shape != (n_cells,):
        raise ValueError(f"strata have shape {names.shape}; one for each cell, ({n_cells},), is needed.")
    stratum = np.unique(names, return_inverse=True)[1]
    n_strata = int(stratum.max()) + 1 if n_cells else 0
    sizes = np.bincount(stratum, minlength=n_strata)
    n_positive = np.bincount(stratum[positive], minlength=n_strata)
    both = np.ones(n_strata, dtype=np.bool_) if strata is None else (n_positive > 0) & (n_positive < sizes)
    compared = (int(n_positive[both].sum()), int((sizes - n_positive)[both].sum()))
    if min(compared, default=0) < MIN_CLASS_CELLS:
        where = "" if strata is None else f" in the {int(both.sum())} of {n_strata} strata that have both classes"
        raise ValueError(
            f"The Wilcoxon test compares two classes, and there are {compared[0]} positive and {compared[1]} negative "
            f"cells{where}; at least {MIN_CLASS_CELLS} of each are needed. Take more cells, or a method that uses no "
            "label (hvg, all_filtered)."
        )
    parts = [expression] if isinstance(expression, sparse.csr_matrix) else expression
    measured = [_measure(part, positive, stratum, sizes, n_positive) for part in parts]
    rank_sum, ties, sums = (np.concatenate(found) for found in zip(*measured, strict=True))
    n_genes = len(rank_sum)
    score = _score(rank_sum[:, both], ties[:, both], sizes[both], n_positive[both], tie_correct=tie_correct)
    from scipy import special, stats  # noqa: PLC0415 - half a second that no other selection needs

    p = np.minimum(2 * special.ndtr(-np.abs(score)), 1.0)
    return RankSumTest(
        score=score,
        p=p,
        p_adjusted=np.asarray(stats.false_discovery_control(p, method="bh")) if n_genes else p,
        log2_fold_change=_fold_change(sums[:, both], sizes[both], n_positive[both]),
        n_positive=compared[0],
        n_negative=compared[1],
        n_strata=int(both.sum()),
    )


def _measure(
    expression: sparse.csr_matrix,
    positive: npt.NDArray[np.bool_],
    stratum: npt.NDArray[np.int64],
    sizes: npt.NDArray[np.int64],
    n_positive: npt.NDArray[np.int64],
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Rank sums and tie terms of shape (n_genes, n_strata), sums by class of shape (n_genes, n_strata, 2)."""
    if expression.nnz and not expression.data.min() >= 0:
        raise ValueError("expression has negative or missing entries; the test takes log-normalised expression.")
    columns = expression.astype(np.float32, copy=False).tocsc()
    return rank_sums(
        columns.indptr.astype(np.int64),
        columns.indices.astype(np.int32, copy=False),
        columns.data,
        (2 * stratum + positive).astype(np.uint64),
        sizes.astype(np.int64),
        n_positive.astype(np.int64),
    )


def _score(
    rank_sum: Float64Array,
    ties: Float64Array,
    sizes: npt.NDArray[np.int64],
    n_positive: npt.NDArray[np.int64],
    *,
    tie_correct: bool,
) -> Float64Array:
    n = sizes.astype(np.float64)
    first = n_positive.astype(np.float64)
    second = n - first
    coefficient = np.maximum(1.0 - ties / (n**3 - n), 0.0) if tie_correct else np.ones_like(ties)
    variance = coefficient * first * second * (n + 1) / 12.0
    weights = 1.0 / (n + 1)
    difference = (rank_sum - first * (n + 1) / 2.0) @ weights
    spread = np.sqrt(variance @ weights**2)
    score: Float64Array = np.divide(difference, spread, out=np.zeros_like(difference), where=spread > 0)
    return score


def _fold_change(sums: Float64Array, sizes: npt.NDArray[np.int64], n_positive: npt.NDArray[np.int64]) -> Float64Array:
    negative, positive = sizes - n_positive, n_positive
    weights = positive * negative / sizes
    weights = weights / weights.sum()
    low = np.expm1((sums[:, :, 0] / negative) @ weights)
    high = np.expm1((sums[:, :, 1] / positive) @ weights)
    change: Float64Array = np.log2((high + PSEUDO) / (low + PSEUDO))
    return change
