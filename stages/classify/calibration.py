"""How well probabilities agree with what is observed: the reliability table and the recalibration line.

Models are fitted with balanced weights, so their probabilities are those of a population with as many positive as
negative cells. Calibration is measured in that population: each class has half of the weight.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from stagewright.stages.classify.metrics_kernel import N_BINS

__all__ = ["N_BINS", "Reliability", "calibration_line", "reliability"]

MOST_STEPS = 50
SETTLED = 1e-10

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Reliability:
    """A reliability table, one entry for each bin, arrays of shape (N_BINS,) or (N_BINS, m).

    Attributes
    ----------
    n_cells
        Cells in the bin.
    weight
        Their share of the balanced population; sums to 1.
    mean_probability, share_positive
        Mean predicted probability and observed share of positive cells, balanced; NaN in an empty bin.
    """

    n_cells: NDArray[np.int64]
    weight: _Floats
    mean_probability: _Floats
    share_positive: _Floats


def reliability(probability: _Floats, y: NDArray[np.bool_]) -> Reliability:
    """Return the reliability table of probabilities of shape (n,) or (n, m), with one column for each model.

    A probability on an edge lies in the upper bin, 1 in the last.

    Both classes must be present in `y`, shape (n,).
    """
    columns = probability.reshape(y.size, -1)
    m = columns.shape[1]
    place = np.minimum((columns * N_BINS).astype(np.int64), N_BINS - 1) * m + np.arange(m)
    flat, size = place.ravel(), N_BINS * m
    weight_of_cell = np.where(y, 0.5 / max(int(y.sum()), 1), 0.5 / max(int((~y).sum()), 1))
    weights = np.repeat(weight_of_cell, m)
    weight = np.bincount(flat, weights, size)
    predicted = np.bincount(flat, weights * columns.ravel(), size)
    positive = np.bincount(place[y].ravel(), np.repeat(weight_of_cell[y], m), size)
    shape = (N_BINS, *probability.shape[1:])
    with np.errstate(invalid="ignore", divide="ignore"):
        return Reliability(
            n_cells=np.bincount(flat, minlength=size).reshape(shape),
            weight=weight.reshape(shape).astype(np.float64),
            mean_probability=(predicted / weight).reshape(shape),
            share_positive=(positive / weight).reshape(shape),
        )


def calibration_line(decision: _Floats, y: NDArray[np.bool_]) -> tuple[float, float]:
    """Return slope and intercept of the logistic regression of the label on the decision value, in logits.

    1 and 0 are perfect; a slope below 1 says that the probabilities are too extreme (Cox 1958, Biometrika 45:562).
    Cells are weighted so that each class has half of the weight. NaN where it has no finite solution: a class is
    absent, the decision values are all equal, or they separate the classes.

    Parameters
    ----------
    decision
        Logits, shape (n,).
    y
        Labels, shape (n,).
    """
    nothing = (float("nan"), float("nan"))
    if y.all() or not y.any():
        return nothing
    inside, outside = decision[y], decision[~y]
    if inside.min() >= outside.max() or inside.max() <= outside.min():
        return nothing
    # A unit scale and centre keep the two-by-two system well conditioned whatever the size of the logits.
    centre, scale = float(decision.mean()), float(decision.std())
    z = (decision - centre) / scale
    weight = np.where(y, 0.5 / y.sum(), 0.5 / (~y).sum())
    point = np.zeros(2)
    for _ in range(MOST_STEPS):
        step = _newton_step(z, y, weight, point)
        point += step
        if np.abs(step).max() < SETTLED * (1.0 + np.abs(point).max()):
            slope = point[0] / scale
            return float(slope), float(point[1] - slope * centre)
    return nothing


def _newton_step(z: _Floats, y: NDArray[np.bool_], weight: _Floats, point: _Floats) -> _Floats:
    """Return a Newton step of the two-parameter logistic regression, at most 2 long so that it cannot run away."""
    share = expit(point[0] * z + point[1])
    residual = weight * (y - share)
    curvature = weight * share * (1.0 - share)
    a, b, c = float((curvature * z * z).sum()), float((curvature * z).sum()), float(curvature.sum())
    slope, level = float((residual * z).sum()), float(residual.sum())
    determinant = a * c - b * b
    if determinant <= 0.0:
        return np.zeros(2)
    step = np.array([(c * slope - b * level) / determinant, (a * level - b * slope) / determinant])
    longest = float(np.abs(step).max())
    limited: _Floats = step if longest <= 2.0 else step * (2.0 / longest)  # noqa: PLR2004 - see the docstring
    return limited
