"""Analytic Pearson residuals as a standardised view in blocks of cells: without zeros, they are never written out."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import sparse

from stagewright.stages.cohort.counts_source import Counts, as_source
from stagewright.stages.preprocess.expression import selected_counts
from stagewright.stages.preprocess.gene_passes import count_sums
from stagewright.stages.preprocess.normalise import check_counts
from stagewright.stages.preprocess.residual_kernel import add_moments, fill_residuals

__all__ = ["PearsonResidualView", "pearson_residuals"]

Float64Array = npt.NDArray[np.float64]

BLOCK_CELLS = 512
"""Of the moments and of projections; fixed, so that no result depends on how many rows a caller asks for."""

CONSTANT = 1e-12
"""Residuals with a standard deviation below this are rounding."""


@dataclass(frozen=True, slots=True)
class PearsonResidualView:
    """Implicit z = (r - mean) / sd of the residuals r of some genes; a `reduction.view.View`.

    The residual of a count x is (x - mu) / sqrt(mu + mu**2 / theta), clipped to [-clip, clip], where mu is the cell's
    total times the gene's share of all counts (Lause, Berens and Kobak 2021, Genome Biology 22:258). Totals and shares
    are over all genes, so that a gene's residuals do not depend on which others were selected.

    Attributes
    ----------
    counts
        CSR float32 matrix of the selected genes, shape (n_cells, n_genes).
    totals
        Counts of each cell over all genes, shape (n_cells,).
    shares
        Share of each selected gene in all counts, shape (n_genes,).
    theta, clip
        Overdispersion, and the largest absolute residual.
    mean, sd
        Of the residuals of each gene (ddof = 0), shape (n_genes,); sd is exactly 0 for a gene without counts.
    inverse_sd
        1 / sd, and 0 where sd is 0.
    """

    counts: sparse.csr_matrix
    totals: Float64Array
    shares: Float64Array
    theta: float
    clip: float
    mean: Float64Array
    sd: Float64Array
    inverse_sd: Float64Array

    @property
    def shape(self) -> tuple[int, int]:
        """(n_cells, n_genes)."""
        n_cells, n_genes = self.counts.shape
        return int(n_cells), int(n_genes)

    @property
    def n_varying(self) -> int:
        """Number of genes whose residuals vary; also the total variance of z."""
        return int(np.count_nonzero(self.inverse_sd))

    def residuals(self, n_rows: int) -> Iterator[Float64Array]:
        """Yield the residuals, neither centred nor scaled, in dense blocks of at most `n_rows` cells.

        A block is overwritten by the next one.
        """
        n_cells, n_genes = self.shape
        indptr = self.counts.indptr.astype(np.int64)
        bounds = np.array([1.0 / self.theta, self.clip])
        whole = np.empty((min(n_rows, n_cells), n_genes))
        for start in range(0, n_cells, n_rows):
            stop = min(start + n_rows, n_cells)
            block = whole[: stop - start]
            fill_residuals(
                indptr[start : stop + 1],
                self.counts.indices,
                self.counts.data,
                self.totals[start:stop],
                self.shares,
                bounds,
                block,
            )
            yield block

    def dense_blocks(self, n_rows: int) -> Iterator[npt.NDArray[np.float32]]:
        """Yield z in dense blocks of at most `n_rows` cells, float32 in C order."""
        for block in self.residuals(n_rows):
            np.subtract(block, self.mean, out=block)
            np.multiply(block, self.inverse_sd, out=block)
            yield block.astype(np.float32)

    def project(self, weights: Float64Array) -> Float64Array:
        """Return z @ weights for weights of shape (n_genes, k): shape (n_cells, k)."""
        scaled = weights * self.inverse_sd[:, None]
        shift = self.mean @ scaled
        return np.vstack([block @ scaled - shift for block in self.residuals(BLOCK_CELLS)])

    def of_cells(self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> "PearsonResidualView":
        """Return the view that these cells alone would give: shares, clip, mean and sd are measured on them anew.

        Parameters
        ----------
        rows
            A mask of shape (n_cells,), or row numbers, of which some may come several times (a bootstrap sample).
        """
        counts, totals = sparse.csr_matrix(self.counts[rows]), self.totals[rows]
        by_gene = np.bincount(counts.indices, weights=counts.data.astype(np.float64), minlength=counts.shape[1])
        return _measured(counts, totals, by_gene / totals.sum(), self.theta, float(np.sqrt(len(totals))))

    def of_other_cells(self, counts: sparse.csr_matrix, totals: Float64Array) -> "PearsonResidualView":
        """Return the view of other cells with the shares, clip, mean and sd of these.

        Parameters
        ----------
        counts
            Of the same genes, CSR of shape (n_other_cells, n_genes).
        totals
            Counts of each of the other cells over all genes.
        """
        return replace(self, counts=_canonical(counts), totals=totals)


def pearson_residuals(
    counts: Counts,
    genes: npt.NDArray[np.bool_] | None = None,
    *,
    theta: float = 100.0,
    clip: float | None = None,
) -> PearsonResidualView:
    """Measure what the view needs, in one pass over blocks of cells.

    Parameters
    ----------
    counts
        Raw counts of all genes, of shape (n_cells, n_all_genes): a CSR matrix, or counts that are read in blocks.
    genes
        The genes to look at, a mask of shape (n_all_genes,); None for all.
    theta
        Overdispersion of the negative binomial, > 0.
    clip
        None for sqrt(n_cells).

    Raises
    ------
    CountsUnusable
        The matrix does not hold raw counts.
    ValueError
        theta or clip is not positive, there are fewer than 2 cells, or no gene varies.
    """
    if not theta > 0:
        raise ValueError(f"theta is {theta}; the overdispersion of Pearson residuals must be positive (100 is usual).")
    if sparse.issparse(counts):
        check_counts(counts)
    source = as_source(counts)
    n_cells = counts.shape[0]
    bound = float(np.sqrt(n_cells)) if clip is None else clip
    if not bound > 0:
        raise ValueError(f"clip is {clip}; it must be positive, or be left out for the root of the number of cells.")
    if n_cells < 2:  # noqa: PLR2004 - a variance needs two values
        raise ValueError(f"{n_cells} cells are too few to standardise; at least 2 are needed.")
    totals = source.totals
    by_gene = count_sums(source, np.zeros(n_cells, dtype=np.int64), 1)[0][0]
    if not totals.sum() > 0:
        raise ValueError(f"All {counts.shape[1]} genes are zero in all {n_cells} cells; check `data.counts`.")
    shares = by_gene / totals.sum()
    chosen = selected_counts(source, np.ones(counts.shape[1], dtype=np.bool_) if genes is None else genes)
    return _measured(chosen, totals, shares if genes is None else shares[genes], float(theta), bound)


def _measured(
    counts: sparse.csr_matrix, totals: Float64Array, shares: Float64Array, theta: float, clip: float
) -> PearsonResidualView:
    """Return the view of some genes with the mean and sd of their residuals."""
    n_cells, n_genes = counts.shape
    unscaled = PearsonResidualView(
        counts=_canonical(counts),
        totals=totals,
        shares=shares,
        theta=theta,
        clip=clip,
        mean=np.zeros(n_genes),
        sd=np.ones(n_genes),
        inverse_sd=np.ones(n_genes),
    )
    sums, squares = np.zeros(n_genes), np.zeros(n_genes)
    for block in unscaled.residuals(BLOCK_CELLS):
        add_moments(block, sums, squares)
    # Residuals are centred but for the clip, so that sums of squares lose nothing.
    mean = sums / n_cells
    sd = np.sqrt(np.maximum(squares / n_cells - mean**2, 0.0))
    sd[sd <= CONSTANT] = 0.0
    if not sd.any():
        raise ValueError(f"None of the {n_genes} genes varies over the {n_cells} cells; nothing is left.")
    inverse_sd = np.divide(1.0, sd, out=np.zeros_like(sd), where=sd > 0)
    return replace(unscaled, mean=mean, sd=sd, inverse_sd=inverse_sd)


def _canonical(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    """Return counts as the kernel reads them: float32 with int32 columns, no entry twice."""
    matrix = sparse.csr_matrix(counts, dtype=np.float32)
    matrix.sum_duplicates()
    if matrix.indices.dtype != np.int32:
        matrix.indices = matrix.indices.astype(np.int32)
    return matrix
