"""Keep every gene that enough cells express, rare genes that mark the positive class, and on request no noisy ones."""

import numpy as np
import numpy.typing as npt

from stagewright.stages.cohort.counts_source import Counts
from stagewright.stages.preprocess.detection import cells_per_gene, least_cells
from stagewright.stages.preprocess.moments import mean_and_variance
from stagewright.stages.preprocess.rescue import rescue
from stagewright.stages.preprocess.selection import GeneSelection, LogValue
from stagewright.state.spec.preprocess import NoiseFilter


def select_all_filtered(
    counts: Counts,
    *,
    min_cells_fraction: float,
    enrichment_ratio: float | None = None,
    positive: npt.NDArray[np.bool_] | None = None,
    noise_filter: NoiseFilter | None = None,
) -> GeneSelection:
    """Select genes by the number of cells that express them.

    A gene is kept when at least ceil(`min_cells_fraction` * n_cells) cells have a count of it. With
    `enrichment_ratio`, a gene below that bound is rescued when at least 10 positive cells have it and the share of
    positive cells that have it is at least `enrichment_ratio` times the share of negative cells. With `noise_filter`,
    of the genes kept so far those go whose variance is above its percentile and whose mean is below its quantile, both
    over the genes kept so far and on the counts: a few cells with many copies of a gene that is hardly there elsewhere.

    Parameters
    ----------
    counts
        Of shape (n_cells, n_genes), raw or normalised: only zero or not zero matters.
    min_cells_fraction
        Share of cells in [0, 1]. At least one cell is asked for whatever the share, so no all-zero gene is kept.
    enrichment_ratio
        Factor >= 1, or None for a selection that does not look at the label.
    positive
        Boolean array of shape (n_cells,), True for positive cells. Needed with `enrichment_ratio`, unused without.
    noise_filter
        Percentile of the variance and quantile of the mean, or None to keep noisy genes.

    Returns
    -------
    GeneSelection
        `supervised` is True exactly when `enrichment_ratio` was given. The table has `n_cells`, with a ratio
        `positive_fraction`, `negative_fraction` and `rescued`, with a filter `mean`, `variance`, `removed_as_noise`.

    Raises
    ------
    ValueError
        A parameter is out of range, `positive` is missing or misshapen or has one class only, or no gene passes.
    """
    n_cells, n_genes = counts.shape
    bound = least_cells(min_cells_fraction, n_cells)
    detected = cells_per_gene(counts)
    mask = detected >= bound
    log: dict[str, LogValue] = {
        "method": "all_filtered",
        "min_cells_fraction": float(min_cells_fraction),
        "min_cells": bound,
        "n_cells": n_cells,
        "n_genes_before": n_genes,
        "n_genes_all_zero": int(np.count_nonzero(detected == 0)),
        "n_genes_by_detection": int(mask.sum()),
        "enrichment_ratio": None,
        "n_genes_rescued": 0,
    }
    table: dict[str, npt.NDArray[np.generic]] = {"n_cells": detected}
    if enrichment_ratio is not None:
        found = rescue(counts, positive, min_cells_fraction=min_cells_fraction, enrichment_ratio=enrichment_ratio)
        mask = mask | found.mask
        log |= found.log
        table |= found.table
    if noise_filter is not None and mask.any():
        mean, variance = mean_and_variance(counts)
        noisy, thresholds = _noisy(mean, variance, mask, noise_filter)
        mask = mask & ~noisy
        log["noise_filter"] = thresholds
        table |= {"mean": mean, "variance": variance, "removed_as_noise": noisy}
    log["n_genes_after"] = int(mask.sum())
    if not mask.any():
        raise ValueError(
            f"No gene is detected in at least {bound} of {n_cells} cells; lower min_cells_fraction "
            f"(now {min_cells_fraction})."
        )
    return GeneSelection("all_filtered", mask, supervised=enrichment_ratio is not None, log=log, table=table)


def _noisy(
    mean: npt.NDArray[np.float64], variance: npt.NDArray[np.float64], kept: npt.NDArray[np.bool_], bounds: NoiseFilter
) -> tuple[npt.NDArray[np.bool_], dict[str, LogValue]]:
    """Which of the kept genes are noisy, and the bounds in counts."""
    variance_bound = float(np.percentile(variance[kept], bounds.variance_percentile))
    mean_bound = float(np.quantile(mean[kept], bounds.mean_quantile))
    noisy: npt.NDArray[np.bool_] = kept & (variance > variance_bound) & (mean < mean_bound)
    return noisy, {
        "variance_percentile": bounds.variance_percentile,
        "mean_quantile": bounds.mean_quantile,
        "variance_above": variance_bound,
        "mean_below": mean_bound,
        "scale": "counts",
        "n_genes_removed": int(noisy.sum()),
    }
