"""Rare genes that mark the positive class: below the bound of detection, and enriched in positive cells."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stagewright.stages.cohort.counts_source import Counts, as_source
from stagewright.stages.preprocess.detection import cells_per_gene, least_cells
from stagewright.stages.preprocess.gene_passes import cells_per_gene_among
from stagewright.stages.preprocess.selection import LogValue

__all__ = ["MIN_POSITIVE_CELLS", "Rescue", "rescue"]

MIN_POSITIVE_CELLS = 10
"""A rescued gene is detected in at least this many positive cells: below it a ratio is noise."""


@dataclass(frozen=True, slots=True)
class Rescue:
    """Rescued genes, with `log` and `table` as in `GeneSelection`."""

    mask: npt.NDArray[np.bool_]
    log: dict[str, LogValue]
    table: Mapping[str, npt.NDArray[np.generic]]


def rescue(
    counts: Counts,
    positive: npt.NDArray[np.bool_] | None,
    *,
    min_cells_fraction: float,
    enrichment_ratio: float,
) -> Rescue:
    """Find genes that too few cells express for the bound of detection, and that are enriched in positive cells.

    At least 10 positive cells have such a gene, and the share of positive cells that have it is at least
    `enrichment_ratio` times the share of negative cells.

    Raises
    ------
    ValueError
        A parameter is out of range, or `positive` is missing or misshapen or has one class only.
    """
    bound = least_cells(min_cells_fraction, counts.shape[0])
    detected = cells_per_gene(counts)
    in_positive, positive_fraction, negative_fraction = _class_fractions(counts, detected, positive, enrichment_ratio)
    enriched = positive_fraction >= enrichment_ratio * negative_fraction
    mask = (detected < bound) & enriched & (in_positive >= MIN_POSITIVE_CELLS)
    return Rescue(
        mask=mask,
        log={
            "min_cells": bound,
            "enrichment_ratio": float(enrichment_ratio),
            "min_positive_cells": MIN_POSITIVE_CELLS,
            "n_genes_rescued": int(mask.sum()),
        },
        table={
            "positive_fraction": positive_fraction,
            "negative_fraction": negative_fraction,
            "rescued": mask,
        },
    )


def _class_fractions(
    counts: Counts,
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
    in_positive = cells_per_gene_among(as_source(counts), positive)
    return in_positive, in_positive / n_positive, (detected - in_positive) / n_negative
