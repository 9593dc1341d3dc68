"""Folds for cross-validation: stratified by class, or grouped so that no group lies on both sides."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "FoldPlan",
    "deal_out",
    "feasible_folds",
    "feasible_grouped_folds",
    "grouped_folds",
    "repeatable_grouped_folds",
    "repeated_grouped_folds",
    "repeated_stratified_folds",
    "stratified_folds",
]

_Folds = NDArray[np.int64]
_FEWEST_FOLDS = 2  # one fold leaves nothing to train on


@dataclass(frozen=True, slots=True)
class FoldPlan:
    """How many folds the data allow: 0 means none, and `reason` says why there are fewer than wanted."""

    n_folds: int
    reason: str | None = None


def feasible_folds(n_positive: int, n_negative: int, wanted: int, minimum: int = 2) -> FoldPlan:
    """Choose the folds so that each holds a cell of each class.

    Parameters
    ----------
    n_positive, n_negative
        Cells of each class.
    wanted
        Folds asked for.
    minimum
        Fewest folds worth having, at least 2; below it the plan has 0 folds.
    """
    return _plan({"positive": n_positive, "negative": n_negative}, wanted, minimum, "cell")


def feasible_grouped_folds(y: ArrayLike, groups: ArrayLike, wanted: int, minimum: int = 2) -> FoldPlan:
    """Choose the folds so that each can hold a group with positive and a group with negative cells.

    Parameters
    ----------
    y
        Labels, shape (n,), bool.
    groups
        Group of each cell (a patient, for instance), shape (n,).
    wanted, minimum
        As in `feasible_folds`.
    """
    labels, names = _labels(y), np.asarray(groups)
    counts = {"positive": np.unique(names[labels]).size, "negative": np.unique(names[~labels]).size}
    return _plan(counts, wanted, minimum, "group")


def stratified_folds(y: ArrayLike, n_folds: int, seed: int | np.random.SeedSequence) -> _Folds:
    """Assign each cell to a fold with each class spread evenly.

    The cells of each class are dealt out at random; the folds' counts differ by at most 1 in each class and in all.
    The fold of the k-th cell of a class depends on the seed and on the sizes of the classes, not on how the classes
    are interleaved.

    Parameters
    ----------
    y
        Labels, shape (n,), bool.
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
    labels = _labels(y)
    smaller = int(min(labels.sum(), (~labels).sum()))
    if not _FEWEST_FOLDS <= n_folds <= smaller:
        raise ValueError(
            f"{n_folds} folds are not possible: at least 2, and at most the {smaller} cells of the smaller class. "
            "Ask feasible_folds first."
        )
    return deal_out((labels, ~labels), n_folds, seed)


def deal_out(strata: Iterable[NDArray[np.bool_]], n_folds: int, seed: int | np.random.SeedSequence) -> _Folds:
    """Deal the cells of each stratum out at random, each stratum going on where the one before stopped.

    So the folds' totals stay even, too.

    Parameters
    ----------
    strata
        Masks of shape (n,), of which each cell is in exactly one.
    """
    generator = np.random.default_rng(seed)
    dealt = 0
    folds: _Folds | None = None
    for members in strata:
        folds = np.empty(members.size, dtype=np.int64) if folds is None else folds
        size = int(members.sum())
        folds[members] = generator.permutation((np.arange(size) + dealt) % n_folds)
        dealt += size
    if folds is None:
        raise ValueError("there is no stratum of cells to deal out")
    return folds


def repeated_stratified_folds(y: ArrayLike, n_folds: int, n_repeats: int, seed: int) -> _Folds:
    """Draw `stratified_folds` several times; shape (n_repeats, n). A repeat does not depend on how many follow it."""
    return np.stack([stratified_folds(y, n_folds, child) for child in _children(seed, n_repeats)])


def repeatable_grouped_folds(y: ArrayLike, groups: ArrayLike, wanted: int, n_repeats: int, seed: int) -> FoldPlan:
    """Choose the most folds, up to `wanted`, that every repeat's greedy assignment of whole groups can make.

    Enough groups are not always enough: the assignment may leave a fold empty, or a class in one fold only.

    Parameters
    ----------
    y, groups
        As in `grouped_folds`.
    wanted, n_repeats, seed
        As they will be drawn by `repeated_grouped_folds`.
    """
    plan = feasible_grouped_folds(y, groups, wanted)
    for n_folds in range(plan.n_folds, _FEWEST_FOLDS - 1, -1):
        try:
            folds = repeated_grouped_folds(y, groups, n_folds, n_repeats, seed)
        except ValueError:
            continue
        if all(np.unique(row).size == n_folds for row in folds):
            fewer = (
                plan.reason if n_folds == plan.n_folds else f"whole groups allow {n_folds} folds instead of {wanted}"
            )
            return FoldPlan(n_folds, fewer)
    return FoldPlan(0, plan.reason or "whole groups leave a fold without cells or with one class to train on")


def grouped_folds(y: ArrayLike, groups: ArrayLike, n_folds: int, seed: int | np.random.SeedSequence) -> _Folds:
    """Assign whole groups to folds with the classes spread as evenly as the groups allow.

    Parameters
    ----------
    y
        Labels, shape (n,), bool.
    groups
        Group of each cell, shape (n,).
    n_folds
        Folds, at least 2 (`feasible_grouped_folds`).
    seed
        Seed of the assignment.

    Returns
    -------
    numpy.ndarray
        Fold of each cell in 0 .. n_folds - 1, shape (n,), int64; the cells of a group share one.

    Raises
    ------
    ValueError
        If there are not enough groups, or if leaving a fold out would leave a class without cells.

    Notes
    -----
    The assignment is scikit-learn's `StratifiedGroupKFold`, which is greedy: a fold may lack a class.
    """
    from sklearn.model_selection import StratifiedGroupKFold  # noqa: PLC0415 - heavy, needed for grouped folds only

    labels, names = _labels(y), np.asarray(groups)
    plan = feasible_grouped_folds(labels, names, n_folds)
    if names.shape != labels.shape or plan.n_folds != n_folds:
        raise ValueError(
            f"{n_folds} grouped folds are not possible: {plan.reason or 'groups need one value for each cell'}. "
            "Ask feasible_grouped_folds first."
        )
    state = int(np.random.default_rng(seed).integers(2**32))
    splitter = StratifiedGroupKFold(n_splits=n_folds, shuffle=True, random_state=state)
    folds = np.empty(labels.size, dtype=np.int64)
    for fold, (train, test) in enumerate(splitter.split(labels[:, np.newaxis], labels, names)):
        folds[test] = fold
        if labels[train].all() or not labels[train].any():
            raise ValueError(f"Without grouped fold {fold} only one class is left to train on. Use fewer folds.")
    return folds


def repeated_grouped_folds(y: ArrayLike, groups: ArrayLike, n_folds: int, n_repeats: int, seed: int) -> _Folds:
    """Draw `grouped_folds` several times; shape (n_repeats, n). Few groups allow few different draws."""
    return np.stack([grouped_folds(y, groups, n_folds, child) for child in _children(seed, n_repeats)])


def _children(seed: int, n_repeats: int) -> list[np.random.SeedSequence]:
    if n_repeats < 1:
        raise ValueError(f"n_repeats must be at least 1, not {n_repeats}.")
    return np.random.SeedSequence(seed).spawn(n_repeats)


def _labels(y: ArrayLike) -> NDArray[np.bool_]:
    labels = np.asarray(y)
    if labels.ndim != 1 or labels.dtype != np.bool_:
        raise ValueError(
            f"y must be bool of shape (n,), not {labels.dtype} of shape {labels.shape}. Compare it with the positive "
            "label."
        )
    return labels


def _plan(counts: dict[str, int], wanted: int, minimum: int, unit: str) -> FoldPlan:
    if minimum < _FEWEST_FOLDS or wanted < minimum:
        raise ValueError(f"Allowed is 2 <= minimum <= wanted; got minimum {minimum} and wanted {wanted} folds.")
    name, smaller = min(counts.items(), key=lambda item: item[1])
    plural = unit if smaller == 1 else f"{unit}s"
    if smaller == 0:
        return FoldPlan(0, f"only one class: 0 {name} {plural}")
    if smaller < minimum:
        return FoldPlan(0, f"{smaller} {name} {plural}, and {minimum} folds need at least {minimum}")
    if smaller < wanted:
        return FoldPlan(smaller, f"{smaller} {name} {plural} allow {smaller} folds instead of {wanted}")
    return FoldPlan(wanted)
