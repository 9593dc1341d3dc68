"""Variances of genes, standardised by what their means predict: the measure of the seurat_v3 method.

Stuart et al. 2019, Cell 177:1888, in the form of `scanpy.pp.highly_variable_genes(flavor="seurat_v3")`, which agrees to
rounding. The counts are read in two passes over blocks of cells.
"""

import importlib.util
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stagewright.stages.cohort.counts_source import CountsSource
from stagewright.stages.preprocess.gene_passes import clipped_sums, count_sums
from stagewright.stages.preprocess.moments import variance_of

__all__ = ["SPANS", "StandardisedVariances", "standardised_variances"]

Float64Array = NDArray[np.float64]

SPANS = (0.3, 0.5, 0.7, 1.0)
"""Windows of the local fit, as a share of the genes, in the order they are tried; the first is the method's own."""


@dataclass(frozen=True, slots=True)
class StandardisedVariances:
    """What was measured.

    Attributes
    ----------
    mean, variance
        Of each gene over all cells (ddof = 1), shape (n_genes,).
    standardised
        Variance of the clipped standardised counts, shape (n_batches, n_genes); higher is more variable.
    spans
        Window of the fit that worked, for each batch.
    """

    mean: Float64Array
    variance: Float64Array
    standardised: Float64Array
    spans: list[float]


def standardised_variances(
    source: CountsSource, codes: NDArray[np.int64], names: Sequence[str], detected: NDArray[np.bool_]
) -> StandardisedVariances:
    """Measure each detected gene in each batch.

    Parameters
    ----------
    codes
        Batch of each cell as the number of its name, shape (n_cells,).
    names
        Names of the batches.
    detected
        Genes with any count, shape (n_genes,); the others are left out of the fit and of the result.

    Raises
    ------
    ValueError
        The local fit of a batch is singular with every window.
    ModuleNotFoundError
        scikit-misc, which holds the local fit, is not installed. There is no fallback.
    """
    if importlib.util.find_spec("skmisc") is None:
        raise ModuleNotFoundError(
            "seurat_v3 needs the package scikit-misc, which is not installed: pip install scikit-misc. "
            "Another way to pick genes would change the study, so none is tried."
        )
    sizes = np.bincount(codes, minlength=len(names))[:, None]
    sums, squares = count_sums(source, codes, len(names))
    means = sums / sizes
    spread = np.ones_like(means)
    spans: list[float] = []
    for code, name in enumerate(names):
        variance = variance_of(sums[code], squares[code], int(sizes[code, 0]))
        spread[code, detected], span = _expected_spread(
            means[code, detected], variance[detected], f"batch {name} ({int(sizes[code, 0])} cells)"
        )
        spans.append(span)
    clipped, clipped_squares = clipped_sums(source, codes, means + spread * np.sqrt(sizes))
    standardised = (sizes * means**2 + clipped_squares - 2 * clipped * means) / ((sizes - 1) * spread**2)
    total, total_squares, n_cells = sums.sum(axis=0), squares.sum(axis=0), int(sizes.sum())
    return StandardisedVariances(
        mean=total[detected] / n_cells,
        variance=variance_of(total, total_squares, n_cells)[detected],
        standardised=np.ascontiguousarray(standardised[:, detected]),
        spans=spans,
    )


def _expected_spread(mean: Float64Array, variance: Float64Array, where: str) -> tuple[Float64Array, float]:
    """Return the standard deviation that the mean predicts, 1 for a constant gene, and the window of the fit."""
    from skmisc.loess import loess  # noqa: PLC0415 - only this method needs it

    varying = variance > 0
    reason = "no gene varies"
    for span in SPANS if varying.any() else ():
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                # A failed fit shows in what it returns, checked below; the warnings on the way add nothing.
                warnings.simplefilter("ignore", RuntimeWarning)
                model = loess(np.log10(mean[varying]), np.log10(variance[varying]), span=span, degree=2)
                model.fit()
                fitted = np.asarray(model.outputs.fitted_values, dtype=np.float64)
                spread = np.sqrt(10.0**fitted)
        except ValueError as error:  # what the local-fit library raises for a singular fit
            reason = str(error)
            continue
        if np.isfinite(spread).all() and (spread > 0).all():
            expected = np.ones_like(mean)
            expected[varying] = spread
            return expected, span
        reason = "the fitted variances are not finite"
    raise ValueError(
        f"In {where} the local fit of variance on mean is singular with every window of {SPANS} ({reason}). Take more "
        "cells per patient, select without batches, or use all_filtered."
    )
