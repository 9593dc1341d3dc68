"""How alike two fits are, component by component: computed here again, so that the stage need not be believed."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

__all__ = ["matched_correlation", "read_loadings"]

ROUNDING = 1e-7


def matched_correlation(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the absolute correlation of each component with its match.

    Components are matched one to one so that the sum of the absolute Pearson correlations of their loadings over
    genes is largest (the assignment problem; Kuhn 1955, scipy's `linear_sum_assignment`). Absolute, because the sign
    of a component is arbitrary.

    Parameters
    ----------
    first, second
        Loadings of shape (n_genes, k), genes in the same order.

    Returns
    -------
    numpy.ndarray
        Shape (k,), in [0, 1], in the order of the components of `first`; higher is more alike. A component whose
        loadings are constant correlates with none: 0.
    """
    alike = np.abs(_standardised(first).T @ _standardised(second))
    rows, columns = linear_sum_assignment(alike, maximize=True)
    matched: NDArray[np.float64] = np.clip(alike[rows, columns], 0.0, 1.0)
    return matched


def read_loadings(folder: Path) -> NDArray[np.float64] | None:
    """Return the loadings of one replicate, or None when `promised_files` or `embedding` has reported them."""
    try:
        loadings = np.load(folder / "loadings.npy", allow_pickle=False)
    except (OSError, ValueError):
        return None
    usable = loadings.ndim == 2 and loadings.dtype.kind == "f" and np.isfinite(loadings).all()  # noqa: PLR2004 - genes, components
    return np.asarray(loadings, dtype=np.float64) if usable else None


def _standardised(loadings: NDArray[np.floating]) -> NDArray[np.float64]:
    centred = np.asarray(loadings, dtype=np.float64) - np.mean(loadings, axis=0, dtype=np.float64)
    length = np.linalg.norm(centred, axis=0)
    # What centring leaves of a constant column is rounding.
    varies = length > ROUNDING * np.linalg.norm(loadings, axis=0)
    standardised: NDArray[np.float64] = np.divide(centred, length, out=np.zeros_like(centred), where=varies)
    return standardised
