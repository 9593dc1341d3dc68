"""Folds for cross-validation of cells from several patients: stratified by patient and class together."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stagewright.stages.classify.folds import deal_out

__all__ = ["repeated_stratum_folds", "stratum_folds"]


def stratum_folds(
    y: ArrayLike, groups: ArrayLike, n_folds: int, seed: int | np.random.SeedSequence
) -> NDArray[np.int64]:
    """Assign each cell to a fold with every class of every group spread evenly.

    The cells of each stratum are dealt out at random, each stratum going on where the one before stopped, so that the
    folds' counts differ by at most 1 in each stratum, in each class and in all.

    Parameters
    ----------
    y
        Labels, shape (n,), bool.
    groups
        Group of each cell (a patient, for instance), shape (n,).
    n_folds
        Folds, at least 2 and at most the cells of the smaller class (`feasible_folds`).
    seed
        Seed of the assignment.

    Returns
    -------
    numpy.ndarray
        Fold of each cell in 0 .. n_folds - 1, shape (n,), int64.

    Raises
    ------
    ValueError
        If a fold would lack a class.
    """
    labels, names = np.asarray(y), np.asarray(groups)
    if labels.dtype != np.bool_ or labels.ndim != 1 or names.shape != labels.shape:
        raise ValueError(
            f"y must be bool of shape (n,) and groups too; got {labels.dtype} {labels.shape}, {names.shape}."
        )
    smaller = int(min(labels.sum(), (~labels).sum()))
    if not 2 <= n_folds <= smaller:  # noqa: PLR2004 - one fold leaves nothing to train on
        raise ValueError(f"{n_folds} folds are not possible: at least 2, and at most the {smaller} cells of a class.")
    codes = np.unique(names, return_inverse=True)[1]
    strata = (members & (codes == code) for members in (labels, ~labels) for code in range(int(codes.max()) + 1))
    return deal_out(strata, n_folds, seed)


def repeated_stratum_folds(
    y: ArrayLike, groups: ArrayLike, n_folds: int, n_repeats: int, seed: int
) -> NDArray[np.int64]:
    """Draw `stratum_folds` several times; shape (n_repeats, n). A repeat does not depend on how many follow it."""
    if n_repeats < 1:
        raise ValueError(f"n_repeats must be at least 1, not {n_repeats}.")
    children = np.random.SeedSequence(seed).spawn(n_repeats)
    return np.stack([stratum_folds(y, groups, n_folds, child) for child in children])
