"""Highly variable genes by the seurat_v3 method, on raw counts."""

import numpy as np
import numpy.typing as npt
from scipy import sparse

from stagewright.stages.cohort.counts_source import Counts, as_source
from stagewright.stages.preprocess.moments import mean_and_variance
from stagewright.stages.preprocess.normalise import check_counts
from stagewright.stages.preprocess.selection import GeneSelection, LogValue
from stagewright.stages.preprocess.seurat_v3 import SPANS, standardised_variances

MIN_BATCH_CELLS = 3


def select_hvg(
    counts: Counts,
    *,
    n_top_genes: int,
    batch: npt.NDArray[np.generic] | None = None,
    normalised: sparse.csr_matrix | None = None,
) -> GeneSelection:
    """Select the genes whose variance exceeds what their mean predicts.

    The method is seurat_v3 (Stuart et al. 2019, Cell 177:1888): in each batch the variances are standardised by a
    local quadratic fit of log variance on log mean; then genes go by their median rank over the batches in which
    they are among the top, and by the number of those; equals keep their order. All-zero genes
    are set aside first and never selected.

    In a batch where more than the fit's window of genes have one and the same mean (seen once, say) the fit is
    singular. It is then repeated for that batch with the next wider window of 0.3 (the method's own), 0.5, 0.7, 1.0;
    `log["span_by_batch"]` has the window of each batch and `log["n_batches_widened"]` counts the changed ones.

    Parameters
    ----------
    counts
        Raw counts of shape (n_cells, n_genes): a CSR matrix, or counts that are read in blocks.
    n_top_genes
        Number of genes to select, > 0. When there are no more genes with any count than that, all those are taken.
    batch
        Batch of each cell (for example its patient), shape (n_cells,), or None for one batch.
    normalised
        Log-normalised expression of the same shape; only adds the column `mean_log_normalised` to the table.

    Returns
    -------
    GeneSelection
        The table has `mean`, `variance`, `variance_standardised` (higher is more variable), `rank` (NaN where the
        gene is among the top of no batch) and `n_batches_selected`; NaN or 0 where nothing was computed.

    Raises
    ------
    ValueError
        The counts are not raw counts, `n_top_genes` is not positive, a batch has fewer than 3 cells, or the local
        fit of a batch is singular with every window.
    ModuleNotFoundError
        scikit-misc, which holds the local fit, is not installed. There is no fallback.
    """
    n_cells, n_genes = counts.shape
    if n_top_genes < 1:
        raise ValueError(f"n_top_genes is {n_top_genes}; it must be at least 1.")
    if sparse.issparse(counts):
        check_counts(counts)
    source = as_source(counts)
    detected = source.cells_per_gene > 0
    n_detected = int(detected.sum())
    if n_detected == 0:
        raise ValueError(f"All {n_genes} genes are zero in all {n_cells} cells; check `data.counts` and the filters.")
    log: dict[str, LogValue] = {
        "method": "hvg",
        "flavor": "seurat_v3",
        "n_top_genes": int(n_top_genes),
        "n_cells": n_cells,
        "n_genes_before": n_genes,
        "n_genes_all_zero": n_genes - n_detected,
    }
    table: dict[str, npt.NDArray[np.generic]] = {}
    if normalised is not None:
        table["mean_log_normalised"] = mean_and_variance(normalised)[0]
    if n_top_genes >= n_detected:
        log |= {"n_genes_after": n_detected, "note": "n_top_genes is not below the genes with counts: all are kept"}
        return GeneSelection("hvg", detected, supervised=False, log=log, table=table)

    names, codes = _batches(batch, n_cells)
    found = standardised_variances(source, codes, names, detected)
    rank, n_batches_selected = _rank_over_batches(found.standardised, n_top_genes)
    order = np.lexsort((-n_batches_selected, rank))  # NaN last
    mask = np.zeros(n_genes, dtype=np.bool_)
    mask[np.flatnonzero(detected)[order[:n_top_genes]]] = True
    columns = {
        "mean": found.mean,
        "variance": found.variance,
        "variance_standardised": found.standardised.mean(axis=0),
        "rank": rank,
        "n_batches_selected": n_batches_selected,
    }
    for column, values in columns.items():
        full = np.full(n_genes, np.nan)
        full[detected] = values
        table[column] = full
    log |= {
        "span_by_batch": dict(zip(names, found.spans, strict=True)),
        "n_batches_widened": sum(span != SPANS[0] for span in found.spans),
        "n_genes_after": int(mask.sum()),
    }
    return GeneSelection("hvg", mask, supervised=False, log=log, table=table)


def _batches(batch: npt.NDArray[np.generic] | None, n_cells: int) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Names of the batches, and the number of each cell's batch."""
    if batch is None:
        return ["all"], np.zeros(n_cells, dtype=np.int64)
    if batch.shape != (n_cells,):
        raise ValueError(f"batch has shape {batch.shape}; one value per cell, shape ({n_cells},), is needed.")
    values, codes, sizes = np.unique(batch.astype(str), return_inverse=True, return_counts=True)
    names = [str(value) for value in values]
    small = [f"{name} ({size})" for name, size in zip(names, sizes, strict=True) if size < MIN_BATCH_CELLS]
    if small:
        raise ValueError(
            f"These batches have fewer than {MIN_BATCH_CELLS} cells, too few for a variance: {', '.join(small)}. "
            "Drop them with `data.filters`, take more cells per patient, or select without batches."
        )
    return names, codes.astype(np.int64)


def _rank_over_batches(
    standardised: npt.NDArray[np.float64], n_top_genes: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Median rank over the batches where the gene is among the top (NaN: none), and the number of those batches."""
    ranks = np.argsort(np.argsort(-standardised, axis=1, kind="stable"), axis=1).astype(np.float64)
    top = ranks < n_top_genes
    n_batches_selected = top.sum(axis=0)
    rank = np.full(standardised.shape[1], np.nan)
    chosen = n_batches_selected > 0
    rank[chosen] = np.nanmedian(np.where(top, ranks, np.nan)[:, chosen], axis=0)
    return rank, n_batches_selected
