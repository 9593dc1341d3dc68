"""Score the models of one mode and downsampling of Plan 1C, from their out-of-fold predictions.

The objective is the median over patients of the AUC over a patient's out-of-fold predictions, meaned over repeats; ties
are broken by average precision, by recall of the positive class (each taken over patients likewise), then by the
stronger penalty. What is said at the chosen strength is flattered a little by the choice; `choice_left_out` is not.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stagewright.stages.classify.calibration import calibration_line
from stagewright.stages.classify.choice import OBJECTIVE, choice_left_out, choose_alpha
from stagewright.stages.classify.metrics import BinaryMetrics, binary_metrics
from stagewright.stages.classify.out_of_fold import FoldPaths, OutOfFold, fold_paths, joined, out_of_fold
from stagewright.stages.classify.path_in_sample import InSamplePath, path_without_cv
from stagewright.stages.executors.executor import SharedValue
from stagewright.stages.plan1_tables import PatientCells
from stagewright.stages.plan1c_draws import TrainingDraws
from stagewright.stages.plan1c_parts import ALL, Part
from stagewright.stages.protocol import StageContext
from stagewright.state.plan1c_models import Model

__all__ = ["Cells", "Predicted", "Scored", "cells_of", "score_models"]

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Predicted:
    """The out-of-fold predictions of one part at the chosen strength.

    Attributes
    ----------
    part
        Whose they are.
    decision
        Logits, shape (n_repeats, n).
    refit
        The path on all cells of the part (drawn, where cells are drawn).
    """

    part: Part
    decision: _Floats
    refit: InSamplePath


@dataclass(frozen=True, slots=True)
class Scored:
    """One model of the grid.

    Attributes
    ----------
    patients
        Those with a score, and of each the folds in which its cells were predicted.
    mean, sd
        By metric, mean and standard deviation (ddof 1) over repeats, shape (n_patients, m).
    together
        By metric, mean over repeats of what all predictions of a part with several patients give, shape (m,); None
        where each part is one patient.
    at
        Place of the chosen strength in `alphas`.
    gaps
        Largest relative duality gap over the folds that predict a patient's cells, shape (n_patients, m).
    calibration
        Slope and intercept at the chosen strength, mean over repeats, shape (n_patients, 2); NaN where undefined.
    """

    model: Model
    alphas: _Floats
    patients: tuple[PatientCells, ...]
    n_folds: tuple[int, ...]
    mean: dict[str, _Floats]
    sd: dict[str, _Floats]
    together: dict[str, _Floats] | None
    at: int
    choice_left_out: _Floats
    calibration: _Floats
    predicted: tuple[Predicted, ...]
    n_train: float
    gaps: _Floats

    @property
    def chosen(self) -> dict[str, _Floats]:
        """Each metric of the patients at the chosen strength, shape (n_patients,)."""
        return {name: values[:, self.at] for name, values in self.mean.items()}


@dataclass(frozen=True, slots=True)
class Cells:
    """An embedding, float64 of shape (n_cells, k), and the class of each cell."""

    x: _Floats
    y: NDArray[np.bool_]

    def of(self, rows: NDArray[np.intp] | None) -> tuple[_Floats, NDArray[np.bool_]]:
        """Return the cells of a part; None is all."""
        return (self.x, self.y) if rows is None else (self.x[rows], self.y[rows])


def cells_of(scores: NDArray[np.float32], positive: NDArray[np.bool_]) -> Cells:
    """Return the cells of an embedding."""
    return Cells(scores.astype(np.float64), np.asarray(positive))


@dataclass(frozen=True, slots=True)
class _PartScores:
    """One part under one model: `metrics` by patient has shape (n_patients of the part, n_repeats, m)."""

    part: Part
    out: OutOfFold
    refit: InSamplePath
    metrics: dict[str, _Floats]
    together: dict[str, _Floats] | None


def score_models(
    context: StageContext,
    cells: SharedValue[Cells],
    parts: Sequence[Part],
    models: Sequence[Model],
    alphas: _Floats,
    draws: TrainingDraws | None,
) -> list[Scored]:
    """Cross-validate the models of one mode and downsampling on one embedding.

    Parameters
    ----------
    models
        Of one mode and downsampling; they differ in the penalty.
    draws
        How training cells are drawn; None trains on all.
    """
    ratios = [model.l1_ratio for model in models]
    together = [part for part in parts if part.name == ALL]
    if together:  # one part of all cells is split over its folds, patients are taken side by side
        by_part = [_all_cells(context, cells, part, alphas, ratios, draws) for part in together]
    else:

        def score(part: Part) -> list[_PartScores]:
            train = None if draws is None else _drawn(draws, part)
            refit = None if draws is None else draws.refit(part.name, part.rows)
            fitted = context.executor.call(part_paths, cells, part.rows, part.folds, train, refit, alphas, ratios)
            return [_PartScores(part, *one, None) for one in fitted]

        by_part = context.map(score, parts)
    return [_scored(model, alphas, [scores[number] for scores in by_part]) for number, model in enumerate(models)]


def part_paths(
    cells: Cells,
    rows: NDArray[np.intp],
    folds: NDArray[np.int64],
    train: dict[tuple[int, int], NDArray[np.intp]] | None,
    refit: NDArray[np.intp] | None,
    alphas: _Floats,
    ratios: Sequence[float],
) -> list[tuple[OutOfFold, InSamplePath, dict[str, _Floats]]]:
    """Cross-validate one patient: for each mixture the predictions, the final path, and the metrics by repeat.

    Parameters
    ----------
    train
        By repeat and fold, the positions among `rows` to train on; None for all that are not predicted.
    refit
        The positions to train the final path on; None for all.
    """
    x, y = cells.of(rows)
    outs = out_of_fold(x, y, folds, alphas, ratios, draw=None if train is None else lambda _, *place: train[place])
    found = []
    for out, ratio in zip(outs, ratios, strict=True):
        by_repeat = [binary_metrics(decision, y) for decision in out.decision]
        metrics = {name: np.stack([getattr(one, name) for one in by_repeat])[None] for name in BinaryMetrics.names()}
        found.append((out, refit_path(cells, rows, refit, alphas, ratio), metrics))
    return found


def fold_of(
    cells: Cells, train: NDArray[np.intp], test: NDArray[np.bool_], alphas: _Floats, ratios: Sequence[float]
) -> FoldPaths:
    """Fit one fold of all cells."""
    return fold_paths(cells.x, cells.y, train, test, alphas, ratios)


def refit_path(
    cells: Cells, rows: NDArray[np.intp] | None, drawn: NDArray[np.intp] | None, alphas: _Floats, ratio: float
) -> InSamplePath:
    """Fit the final path of a part, on all of its cells or on those drawn."""
    x, y = cells.of(rows)
    return path_without_cv(*((x, y) if drawn is None else (x[drawn], y[drawn])), alphas, l1_ratio=ratio)


def _drawn(draws: TrainingDraws, part: Part) -> dict[tuple[int, int], NDArray[np.intp]]:
    draw = draws.of(part.name, part.rows)
    places = np.ndindex(part.folds.shape[0], part.n_folds)
    return {place: draw(np.flatnonzero(part.folds[place[0]] != place[1]), *place) for place in places}


def _all_cells(
    context: StageContext,
    cells: SharedValue[Cells],
    part: Part,
    alphas: _Floats,
    ratios: Sequence[float],
    draws: TrainingDraws | None,
) -> list[_PartScores]:
    executor = context.executor
    places = list(np.ndindex(part.folds.shape[0], part.n_folds))
    draw = None if draws is None else draws.of(part.name, part.rows)
    refit = None if draws is None else draws.refit(part.name, part.rows)

    def fit(place: tuple[int, int]) -> FoldPaths:
        test = part.folds[place[0]] == place[1]
        train = np.flatnonzero(~test)
        return executor.call(fold_of, cells, train if draw is None else draw(train, *place), test, alphas, ratios)

    outs = joined(part.folds, places, context.map(fit, places))
    refits = executor.map(lambda ratio: executor.call(refit_path, cells, None, refit, alphas, ratio), ratios)
    y = cells.value.y
    return [
        _PartScores(part, out, path, *_measure(context, part, out.decision, y))
        for out, path in zip(outs, refits, strict=True)
    ]


def _measure(
    context: StageContext, part: Part, decision: _Floats, y: NDArray[np.bool_]
) -> tuple[dict[str, _Floats], dict[str, _Floats]]:
    """Measure each patient, and all cells together, in each repeat."""
    n_repeats = decision.shape[0]
    wanted = [*(rows for _, rows in part.scored), np.arange(y.size)]
    places = [(number, repeat) for number in range(len(wanted)) for repeat in range(n_repeats)]

    def measure(place: tuple[int, int]) -> BinaryMetrics:
        rows = wanted[place[0]]
        return binary_metrics(decision[place[1], rows], y[rows])

    measured = context.executor.map(measure, places)
    shape = (len(wanted), n_repeats, decision.shape[2])
    metrics = {
        name: np.stack([getattr(one, name) for one in measured]).reshape(shape) for name in BinaryMetrics.names()
    }
    return (
        {name: values[:-1] for name, values in metrics.items()},
        {name: values[-1].mean(axis=0) for name, values in metrics.items()},
    )


def _calibration(decision: _Floats, y: NDArray[np.bool_]) -> _Floats:
    """Return slope and intercept, mean over repeats, from logits of shape (n_repeats, n)."""
    lines: _Floats = np.array([calibration_line(one, y) for one in decision])
    mean: _Floats = lines.mean(axis=0)
    return mean


def _scored(model: Model, alphas: _Floats, scores: Sequence[_PartScores]) -> Scored:
    patients = [(patient, rows, item) for item in scores for patient, rows in item.part.scored]
    values = {name: np.concatenate([item.metrics[name] for item in scores]) for name in BinaryMetrics.names()}
    mean = {name: value.mean(axis=1) for name, value in values.items()}
    n_repeats = scores[0].out.decision.shape[0]
    by_patient = [mean[name] for name in OBJECTIVE]
    at = choose_alpha([np.median(metric, axis=0) for metric in by_patient], alphas)
    calibration = np.array([_calibration(item.out.decision[:, rows, at], one.positive) for one, rows, item in patients])
    return Scored(
        model=model,
        alphas=alphas,
        patients=tuple(patient for patient, _, _ in patients),
        n_folds=tuple(item.part.n_folds for _, _, item in patients),
        mean=mean,
        sd={
            name: value.std(axis=1, ddof=1) if n_repeats > 1 else np.full(mean[name].shape, np.nan)
            for name, value in values.items()
        },
        together=scores[0].together,
        at=at,
        choice_left_out=choice_left_out(by_patient, alphas),
        calibration=calibration,
        predicted=tuple(Predicted(item.part, item.out.decision[:, :, at].copy(), item.refit) for item in scores),
        n_train=float(np.mean([item.out.n_train.mean() for item in scores])),
        gaps=np.vstack([item.out.gaps.max(axis=(0, 1)) for _, _, item in patients]),
    )
