"""Keep every gene that enough cells express, and rare genes that mark the positive class."""

import math
from fractions import Fraction

import numpy as np
import numpy.typing as npt
from scipy import sparse

from stagewright.stages.preprocess.selection import GeneSelection, LogValue

MIN_POSITIVE_CELLS = 10
"""A rescued gene is detected in at least this many positive cells: below it a ratio is noise."""


def select_all_filtered(
    counts: sparse.csr_matrix,
    *,
    min_cells_fraction: float,
    enrichment_ratio: float | None = None,
    positive: npt.NDArray[np.bool_] | None = None,
) -> GeneSelection:
    """Select genes by the number of cells that express them.

    A gene is kept when at least ceil(`min_cells_fraction` * n_cells) cells have a count of it. With
    `enrichment_ratio`, a gene below that bound is rescued when at least 10 positive cells have it and the share of
    positive cells that have it is at least `enrichment_ratio` times the share of negative cells.

    Parameters
    ----------
    counts
        CSR matrix of shape (n_cells, n_genes), raw or normalised: only zero or not zero matters.
    min_cells_fraction
        Share of cells in [0, 1]. At least one cell is asked for whatever the share, so no all-zero gene is kept.
    enrichment_ratio
        Factor >= 1, or None for a selection that does not look at the label.
    positive
        Boolean array of shape (n_cells,), True for positive cells. Needed with `enrichment_ratio`, unused without.

    Returns
    -------
    GeneSelection
        `supervised` is True exactly when `enrichment_ratio` was given. The table has `n_cells`, and with a ratio
        `positive_fraction`, `negative_fraction` and `rescued`.

    Raises
    ------
    ValueError
        A parameter is out of range, `positive` is missing or misshapen or has one class only, or no gene passes.
    """
    n_cells, n_genes = counts.shape
    if not 0 <= min_cells_fraction <= 1:
        raise ValueError(f"min_cells_fraction is {min_cells_fraction}; it is a share of cells in [0, 1], e.g. 0.01.")
    # The decimal that was written counts: in floating point 0.07 * 100 lies above 7 and would ask for 8 cells.
    bound = max(1, math.ceil(Fraction(repr(float(min_cells_fraction))) * n_cells))
    detected = _cells_per_gene(counts)
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
        fractions = _class_fractions(counts, detected, positive, enrichment_ratio)
        in_positive, positive_fraction, negative_fraction = fractions
        enriched = positive_fraction >= enrichment_ratio * negative_fraction
        rescued = ~mask & enriched & (in_positive >= MIN_POSITIVE_CELLS)
        mask = mask | rescued
        log |= {
            "enrichment_ratio": float(enrichment_ratio),
            "min_positive_cells": MIN_POSITIVE_CELLS,
            "n_genes_rescued": int(rescued.sum()),
        }
        table |= {
            "positive_fraction": positive_fraction,
            "negative_fraction": negative_fraction,
            "rescued": rescued,
        }
    log["n_genes_after"] = int(mask.sum())
    if not mask.any():
        raise ValueError(
            f"No gene is detected in at least {bound} of {n_cells} cells; lower min_cells_fraction "
            f"(now {min_cells_fraction})."
        )
    return GeneSelection("all_filtered", mask, supervised=enrichment_ratio is not None, log=log, table=table)


def _class_fractions(
    counts: sparse.csr_matrix,
    detected: npt.NDArray[np.int64],
    positive: npt.NDArray[np.bool_] | None,
    enrichment_ratio: float,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Positive cells per gene, and the shares of positive and of negative cells that have the gene."""
    if not enrichment_ratio >= 1:
        raise ValueError(f"enrichment_ratio is {enrichment_ratio}; it must be >= 1, or be left out.")
    if positive is None:
        raise ValueError(
            "enrichment_ratio needs the label of every cell (positive); leave the ratio out to do without."
        )
    n_cells = counts.shape[0]
    if positive.dtype != np.bool_ or positive.shape != (n_cells,):
        raise ValueError(
            f"positive has dtype {positive.dtype} and shape {positive.shape}; a boolean array of shape ({n_cells},) "
            "is needed."
        )
    n_positive = int(positive.sum())
    n_negative = n_cells - n_positive
    if not n_positive or not n_negative:
        raise ValueError(
            f"enrichment_ratio compares two classes, and there are {n_positive} positive and {n_negative} negative "
            "cells; leave the ratio out or widen the filters."
        )
    in_positive = _cells_per_gene(counts[positive])
    return in_positive, in_positive / n_positive, (detected - in_positive) / n_negative


def _cells_per_gene(counts: sparse.csr_matrix) -> npt.NDArray[np.int64]:
    # Stored zeros are not detections.
    return np.bincount(counts.indices[counts.data != 0], minlength=counts.shape[1]).astype(np.int64)
