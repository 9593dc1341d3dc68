"""Out-of-fold decision values of whole paths on given folds, for several mixtures of the penalties at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from stagewright.stages.classify.fold_prediction import FoldPrediction, predict_left_out
from stagewright.stages.classify.threads import map_nogil

__all__ = ["Draw", "DrawnFold", "OutOfFold", "PredictFolds", "out_of_fold", "predict_drawn_fold"]

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
class DrawnFold:
    """One fold: what the models of each mixture predict of the cells left out, and how many cells were trained on."""

    predictions: tuple[FoldPrediction, ...]
    n_train: int


PredictFolds: TypeAlias = Callable[[Sequence[tuple[int, int]]], list[DrawnFold]]
"""Does `predict_drawn_fold` for each (repeat, fold), wherever that runs, and returns what each gives, in order."""


def out_of_fold(
    x: _Floats,
    y: NDArray[np.bool_],
    folds: NDArray[np.int64],
    alphas: _Floats,
    l1_ratios: Sequence[float],
    *,
    draw: Draw | None = None,
    n_workers: int = 1,
    predict: PredictFolds | None = None,
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
    predict
        Does the folds elsewhere; by default they are done here, on `n_workers` threads.

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
    shape = (len(l1_ratios), n_repeats, y.size, alphas.size)
    decisions, gaps = np.empty(shape), np.empty((len(l1_ratios), n_repeats, n_folds, alphas.size))
    n_train = np.zeros((n_repeats, n_folds), dtype=np.int64)

    places = list(np.ndindex(n_repeats, n_folds))

    def here(place: tuple[int, int]) -> DrawnFold:
        return predict_drawn_fold(x, y, folds, alphas, l1_ratios, draw, place)

    found = map_nogil(here, places, n_workers) if predict is None else predict(places)
    for place, fold in zip(places, found, strict=True):
        test = folds[place[0]] == place[1]
        for number, predicted in enumerate(fold.predictions):
            decisions[number, place[0], test] = predicted.decision
            gaps[(number, *place)] = predicted.gaps
        n_train[place] = fold.n_train
    return tuple(OutOfFold(decisions[number], gaps[number], n_train) for number in range(len(l1_ratios)))


def predict_drawn_fold(
    x: _Floats,
    y: NDArray[np.bool_],
    folds: NDArray[np.int64],
    alphas: _Floats,
    l1_ratios: Sequence[float],
    draw: Draw | None,
    place: tuple[int, int],
) -> DrawnFold:
    """Fit the paths of one repeat and fold, and predict the cells left out; the arguments are those of `out_of_fold`.

    Raises
    ------
    ValueError
        If only one class is left to train on.
    """
    test = folds[place[0]] == place[1]
    rows = np.flatnonzero(~test)
    if draw is not None:
        rows = draw(rows, *place)
    labels = y[rows]
    if not labels.any() or labels.all():
        which = f"fold {place[1] + 1} of repeat {place[0] + 1}"
        raise ValueError(f"{which}: one class is left among {rows.size} training cells; use fewer folds")
    return DrawnFold(predict_left_out(x, y, rows, test, alphas, l1_ratios), int(rows.size))
