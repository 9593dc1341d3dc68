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
from stagewright.stages.classify.out_of_fold import DrawnFold, OutOfFold, PredictFolds, out_of_fold, predict_drawn_fold
from stagewright.stages.classify.path_in_sample import InSamplePath, path_without_cv
from stagewright.stages.classify.threads import map_nogil
from stagewright.stages.plan1_tables import PatientCells
from stagewright.stages.plan1c_draws import TrainingDraws, share_draws
from stagewright.stages.plan1c_parts import Part
from stagewright.stages.protocol import StageContext
from stagewright.state.plan1c_models import Model

__all__ = ["Predicted", "Scored", "score_models"]

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
class _PartScores:
    """One part under one model: `metrics` by patient has shape (n_patients of the part, n_repeats, m)."""

    part: Part
    out: OutOfFold
    refit: InSamplePath
    metrics: dict[str, _Floats]
    together: dict[str, _Floats] | None


def score_models(
    context: StageContext,
    embedding: _Floats,
    positive: NDArray[np.bool_],
    parts: Sequence[Part],
    models: Sequence[Model],
    alphas: _Floats,
    *,
    draws: TrainingDraws | None,
) -> list[Scored]:
    """Cross-validate the models of one mode and downsampling on one embedding.

    One part with all cells is split over its folds, many parts are taken side by side.

    Parameters
    ----------
    context
        Of the stage: where it runs. The result does not depend on it.
    embedding
        Shape (n_cells, k).
    positive
        Shape (n_cells,).
    models
        Of one mode and downsampling; they differ in the penalty.
    draws
        How training cells are drawn; None trains on all.
    """
    executor = context.executor
    drawn = share_draws(executor, draws)
    if len(parts) == 1:
        (part,) = parts
        x, y = embedding[part.rows], positive[part.rows]
        cells = _Cells(x, y, part.folds, part.rows)
        shared = executor.share(cells, _Cells, x=x, y=y, folds=part.folds, rows=part.rows)
        ratios = [model.l1_ratio for model in models]

        def predict(places: Sequence[tuple[int, int]]) -> list[DrawnFold]:
            return context.map(
                lambda place: executor.call(_predicted, shared, part.name, alphas, ratios, drawn, place),
                places,
            )

        by_part = [_score_part(x, y, part, models, alphas, draws, context.request.workers, predict)]
        shared.forget()
    else:
        every = executor.share(embedding, np.asarray, a=embedding)
        by_part = context.map(
            lambda part: executor.call(_score_alone, every, positive[part.rows], part, models, alphas, drawn), parts
        )
        every.forget()
    if drawn is not None:
        drawn.forget()
    return [_scored(model, alphas, [scores[number] for scores in by_part]) for number, model in enumerate(models)]


@dataclass(frozen=True, slots=True)
class _Cells:
    """The cells of one part: features (n, k), labels (n,), folds (n_repeats, n), rows among all cells (n,)."""

    x: _Floats
    y: NDArray[np.bool_]
    folds: NDArray[np.int64]
    rows: NDArray[np.intp]


def _predicted(
    cells: _Cells,
    name: str,
    alphas: _Floats,
    l1_ratios: Sequence[float],
    draws: TrainingDraws | None,
    place: tuple[int, int],
) -> DrawnFold:
    """Predict one fold of a part, on whatever worker."""
    draw = None if draws is None else draws.of(name, cells.rows)
    return predict_drawn_fold(cells.x, cells.y, cells.folds, alphas, l1_ratios, draw, place)


def _score_alone(
    embedding: _Floats,
    y: NDArray[np.bool_],
    part: Part,
    models: Sequence[Model],
    alphas: _Floats,
    draws: TrainingDraws | None,
) -> list[_PartScores]:
    """Score one part of many, on whatever worker."""
    return _score_part(embedding[part.rows], y, part, models, alphas, draws, 1)


def _score_part(
    x: _Floats,
    y: NDArray[np.bool_],
    part: Part,
    models: Sequence[Model],
    alphas: _Floats,
    draws: TrainingDraws | None,
    n_workers: int,
    predict: PredictFolds | None = None,
) -> list[_PartScores]:
    draw = None if draws is None else draws.of(part.name, part.rows)
    ratios = [model.l1_ratio for model in models]
    outs = out_of_fold(x, y, part.folds, alphas, ratios, draw=draw, n_workers=n_workers, predict=predict)
    rows = np.arange(y.size) if draws is None else draws.refit(part.name, part.rows)
    refits = map_nogil(lambda ratio: path_without_cv(x[rows], y[rows], alphas, l1_ratio=ratio), ratios, n_workers)
    return [
        _PartScores(part, out, refit, *_measure(part, out.decision, y, n_workers))
        for out, refit in zip(outs, refits, strict=True)
    ]


def _measure(
    part: Part, decision: _Floats, y: NDArray[np.bool_], n_workers: int
) -> tuple[dict[str, _Floats], dict[str, _Floats] | None]:
    """Measure each patient, and all cells where there are several, in each repeat."""
    n_repeats = decision.shape[0]
    sets = [rows for _, rows in part.scored]
    alone = len(sets) == 1 and sets[0].size == y.size
    wanted = sets if alone else [*sets, np.arange(y.size)]
    places = [(number, repeat) for number in range(len(wanted)) for repeat in range(n_repeats)]

    def measure(place: tuple[int, int]) -> BinaryMetrics:
        rows = wanted[place[0]]
        return binary_metrics(decision[place[1], rows], y[rows])

    measured = map_nogil(measure, places, n_workers)
    shape = (len(wanted), n_repeats, decision.shape[2])
    metrics = {
        name: np.stack([getattr(one, name) for one in measured]).reshape(shape) for name in BinaryMetrics.names()
    }
    if alone:
        return metrics, None
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
