"""Out-of-fold decision values of whole paths on given folds, for several mixtures of the penalties at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from stagewright.stages.classify.logistic_path import fit_logistic_path
from stagewright.stages.classify.standardise import fit_standardisation
from stagewright.stages.classify.threads import map_nogil

__all__ = ["Draw", "FoldPaths", "OutOfFold", "fold_paths", "joined", "out_of_fold"]

_Floats = NDArray[np.float64]

Draw: TypeAlias = Callable[[NDArray[np.intp], int, int], NDArray[np.intp]]
"""Which of the training rows to train on: called with the rows, the repeat and the fold."""


@dataclass(frozen=True, slots=True)
class OutOfFold:
    """What the models of one mixture predict of the cells that they were not trained on.

    Attributes
    ----------
    decision
        Logits, shape (n_repeats, n, m).
    gaps
        Duality gap relative to the objective, of each repeat, fold and alpha; shape (n_repeats, n_folds, m).
    n_train
        Cells trained on, shape (n_repeats, n_folds).
    """

    decision: _Floats
    gaps: _Floats
    n_train: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class FoldPaths:
    """The models of one fold, by mixture: `decision` of the cells left out, shape (l, n_test, m), `gaps`, (l, m)."""

    decision: _Floats
    gaps: _Floats
    n_train: int


def out_of_fold(
    x: _Floats,
    y: NDArray[np.bool_],
    folds: NDArray[np.int64],
    alphas: _Floats,
    l1_ratios: Sequence[float],
    *,
    draw: Draw | None = None,
    n_workers: int = 1,
) -> tuple[OutOfFold, ...]:
    """Fit the paths in each training part and predict the cells left out.

    Features are standardised by the cells that are trained on, once for all mixtures, and class weights are those of
    these cells. With a draw, the models see the drawn training cells only; what is predicted is always all cells.

    Parameters
    ----------
    x
        Features, shape (n, p), finite.
    y
        Labels, shape (n,); True is the positive class.
    folds
        Fold of each cell, shape (n_repeats, n).
    alphas
        Penalty strengths, shape (m,), above 0.
    l1_ratios
        Shares of the L1 part, each in [0, 1].
    draw
        Pure function of its arguments; None trains on all training cells.
    n_workers
        Threads; the result does not depend on it.

    Returns
    -------
    tuple of OutOfFold
        In the order of `l1_ratios`.

    Raises
    ------
    ValueError
        As `fit_logistic_path`, and if only one class is left to train on.
    """
    n_repeats, n_folds = folds.shape[0], int(folds.max()) + 1
    places = list(np.ndindex(n_repeats, n_folds))

    def fit(place: tuple[int, int]) -> FoldPaths:
        test = folds[place[0]] == place[1]
        rows = np.flatnonzero(~test)
        return fold_paths(x, y, rows if draw is None else draw(rows, *place), test, alphas, l1_ratios)

    return joined(folds, places, map_nogil(fit, places, n_workers))


def fold_paths(
    x: _Floats,
    y: NDArray[np.bool_],
    train: NDArray[np.intp],
    test: NDArray[np.bool_],
    alphas: _Floats,
    l1_ratios: Sequence[float],
) -> FoldPaths:
    """Fit the paths on the cells `train`, as positions, and predict the cells `test`; else as `out_of_fold`."""
    labels = y[train]
    if not labels.any() or labels.all():
        raise ValueError(f"one class is left among {train.size} training cells of a fold; use fewer folds")
    features = x[train]
    standardisation = fit_standardisation(features)
    features, left_out = standardisation.apply(features), standardisation.apply(x[test])
    paths = [fit_logistic_path(features, labels, alphas, l1_ratio=ratio) for ratio in l1_ratios]
    return FoldPaths(
        decision=np.stack([path.decision(left_out) for path in paths]),
        gaps=np.stack([path.gaps for path in paths]),
        n_train=int(train.size),
    )


def joined(
    folds: NDArray[np.int64], places: Sequence[tuple[int, int]], fitted: Sequence[FoldPaths]
) -> tuple[OutOfFold, ...]:
    """Put the predictions of all folds together, given as repeat and fold; in the order of the mixtures."""
    n_ratios, m = fitted[0].gaps.shape
    n_repeats, n_folds = folds.shape[0], int(folds.max()) + 1
    decisions, gaps = np.empty((n_ratios, n_repeats, folds.shape[1], m)), np.empty((n_ratios, n_repeats, n_folds, m))
    n_train = np.zeros((n_repeats, n_folds), dtype=np.int64)
    for (repeat, fold), paths in zip(places, fitted, strict=True):
        decisions[:, repeat, folds[repeat] == fold] = paths.decision
        gaps[:, repeat, fold] = paths.gaps
        n_train[repeat, fold] = paths.n_train
    return tuple(OutOfFold(decisions[number], gaps[number], n_train) for number in range(n_ratios))
