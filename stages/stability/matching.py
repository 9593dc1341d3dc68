"""Pair the components of two fits."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

Measure = Literal["correlation", "cosine"]
Float64Array = npt.NDArray[np.float64]
Loadings = npt.NDArray[np.float32] | Float64Array


def match_components(a: Loadings, b: Loadings, *, measure: Measure = "correlation") -> Float64Array:
    """Similarity of each component of `a` to its partner in `b` under the best one-to-one pairing.

    The pairing maximises the sum of absolute similarities (Kuhn 1955, Nav. Res. Logist. Q. 2:83), so signs do not
    matter.

    Parameters
    ----------
    a, b
        Loadings of shape (n_genes, k), the genes in the same order.
    measure
        "correlation" (Pearson) or "cosine" between columns.

    Returns
    -------
    Float64Array
        Shape (k,), in the order of the components of `a`; in [0, 1], higher is more alike. A component that is
        constant (zero, for the cosine) is like no other: 0.

    Raises
    ------
    ValueError
        The shapes differ.
    """
    similarity = similarity_blocks([a, b], measure=measure)[0, 1]
    return assign(similarity)


def similarity_blocks(loadings: Sequence[Loadings], *, measure: Measure = "correlation") -> Float64Array:
    """Absolute similarity of all components of all fits, by one product.

    Parameters
    ----------
    loadings
        n_fits arrays of shape (n_genes, k).
    measure
        "correlation" or "cosine".

    Returns
    -------
    Float64Array
        Shape (n_fits, n_fits, k, k): entry [i, j, s, t] compares component s of fit i with component t of fit j.
    """
    signed = signed_similarity(loadings, measure=measure)
    n_fits, k = len(loadings), loadings[0].shape[1]
    return np.abs(signed).reshape(n_fits, k, n_fits, k).transpose(0, 2, 1, 3)


def signed_similarity(loadings: Sequence[Loadings], *, measure: Measure = "correlation") -> Float64Array:
    """Similarity with its sign of all components of all fits, shape (n_fits * k, n_fits * k), in [-1, 1]."""
    stacked = unit_columns(loadings, measure=measure)
    product: Float64Array = stacked.T @ stacked
    return np.clip(product, -1.0, 1.0)


def unit_columns(loadings: Sequence[Loadings], *, measure: Measure = "correlation") -> Float64Array:
    """Components of all fits side by side, shape (n_genes, n_fits * k), whose products are their similarities.

    Each has length 1, and mean 0 for the correlation; one that is like no other is zero.

    Raises
    ------
    ValueError
        The shapes differ.
    """
    shapes = {fit.shape for fit in loadings}
    if len(shapes) != 1 or len(next(iter(shapes))) != 2:  # noqa: PLR2004 - genes by components
        raise ValueError(f"Loadings have shapes {sorted(shapes)}; compare fits of the same genes and the same K.")
    stacked = np.concatenate(loadings, axis=1, dtype=np.float64)
    size = lengths = _lengths(stacked)
    if measure == "correlation":
        stacked -= stacked.mean(axis=0)
        lengths = _lengths(stacked)
    # What centring leaves of a constant column is rounding.
    usable = lengths > 1e-7 * size
    stacked *= np.divide(1.0, lengths, out=np.zeros_like(lengths), where=usable)
    return stacked


def _lengths(columns: Float64Array) -> Float64Array:
    # A third of the time of numpy.linalg.norm.
    lengths: Float64Array = np.sqrt(np.einsum("ij,ij->j", columns, columns))
    return lengths


def assign(similarity: Float64Array) -> Float64Array:
    """Similarities of shape (k,) under the one-to-one pairing of rows and columns that maximises their sum."""
    matched: Float64Array = similarity[np.arange(len(similarity)), partners(similarity)]
    return matched


def partners(similarity: Float64Array) -> npt.NDArray[np.intp]:
    """Column of each row, shape (k,), under the one-to-one pairing that maximises the sum of the similarities."""
    from scipy.optimize import linear_sum_assignment  # noqa: PLC0415 - half a second, for this function only

    _, columns = linear_sum_assignment(similarity, maximize=True)
    return np.asarray(columns, dtype=np.intp)
