"""Metrics of a binary classifier from its decision values, for all penalties at once."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from stagewright.stages.classify.metrics_kernel import OUTPUTS, losses_kernel, ranking_kernel

__all__ = ["BinaryMetrics", "binary_metrics", "probability", "roc_auc"]

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class BinaryMetrics:
    """Metrics with one value for each column of the decision values.

    A cell is called positive when its decision value is above 0; a tie at 0 is negative, so the model without features
    under balanced weights calls every cell negative. What is undefined is NaN: `roc_auc`, `average_precision` and
    `balanced_accuracy` when a class is absent, the recall of an absent class, and the precision of a class that no cell
    is called (scikit-learn's default there is 0). Except for the losses and the calibration error, higher is better and
    values lie in [0, 1].

    Attributes
    ----------
    roc_auc
        Area under the ROC curve; tied pairs count one half.
    average_precision
        Sum of precision over the steps of recall, without interpolation, as scikit-learn's.
    recall_positive, recall_negative
        Share of the cells of a class that are called so (sensitivity, specificity).
    precision_positive, precision_negative
        Share of the cells called so that are of the class.
    balanced_accuracy
        Mean of the two recalls.
    brier
        Mean squared distance of the probability from the label, in [0, 1]; lower is better. Not class-weighted.
    log_loss
        Mean negative log likelihood in nats, not clipped; lower is better. Not class-weighted.
    calibration_error
        Expected calibration error: the mean over ten bins of equal width, by their weight, of the distance between mean
        probability and share of positive cells (Naeini, Cooper and Hauskrecht 2015, AAAI). Each class has half of the
        weight, as in the models; NaN when a class is absent; lower is better.
    n_positive, n_negative
        Cells of each class (supports).
    """

    roc_auc: _Floats
    average_precision: _Floats
    recall_positive: _Floats
    recall_negative: _Floats
    precision_positive: _Floats
    precision_negative: _Floats
    balanced_accuracy: _Floats
    brier: _Floats
    log_loss: _Floats
    calibration_error: _Floats
    n_positive: int
    n_negative: int

    @staticmethod
    def names() -> tuple[str, ...]:
        """Names of the metrics, without the supports."""
        return tuple(field.name for field in fields(BinaryMetrics) if not field.name.startswith("n_"))

    def values(self) -> dict[str, _Floats]:
        """Metrics by name, without the supports."""
        return {name: getattr(self, name) for name in self.names()}


def probability(decision: _Floats) -> _Floats:
    """Probability of the positive class from decision values in logits; any shape.

    Under balanced weights it is the probability in a population with as many positive as negative cells.
    """
    return np.asarray(expit(decision), dtype=np.float64)


def roc_auc(decision: ArrayLike, y: ArrayLike) -> _Floats:
    """Area under the ROC curve by column; NaN when a class is absent. Arguments as in `binary_metrics`."""
    columns, labels, shape = _columns(decision, y)
    return _ranking(*_by_class(columns, labels))[:, 0].reshape(shape)


def binary_metrics(decision: ArrayLike, y: ArrayLike) -> BinaryMetrics:
    """Measure decision values against labels.

    Parameters
    ----------
    decision
        Logits, shape (n,) or (n, m) with one column for each penalty; finite.
    y
        Labels, shape (n,), bool; True is the positive class. At least one cell.

    Returns
    -------
    BinaryMetrics
        Arrays of shape () or (m,).

    Raises
    ------
    ValueError
        For other shapes, labels that are not bool, or values that are not finite.
    """
    columns, labels, shape = _columns(decision, y)
    positives, negatives = _by_class(columns, labels)
    n_positive, n_negative = positives.shape[1], negatives.shape[1]
    ranked, sums = _ranking(positives, negatives), np.empty((columns.shape[0], OUTPUTS))
    losses_kernel(positives, negatives, sums)
    true_positive, false_positive, brier, loss, calibration = sums.T
    recall_positive = _share(true_positive, np.full_like(true_positive, n_positive))
    recall_negative = _share(n_negative - false_positive, np.full_like(true_positive, n_negative))
    metrics = {
        "roc_auc": ranked[:, 0],
        "average_precision": ranked[:, 1],
        "recall_positive": recall_positive,
        "recall_negative": recall_negative,
        "precision_positive": _share(true_positive, true_positive + false_positive),
        "precision_negative": _share(n_negative - false_positive, labels.size - true_positive - false_positive),
        "balanced_accuracy": 0.5 * (recall_positive + recall_negative),
        "brier": brier / labels.size,
        "log_loss": loss / labels.size,
        "calibration_error": calibration,
    }
    shaped = {name: value.reshape(shape) for name, value in metrics.items()}
    return BinaryMetrics(**shaped, n_positive=n_positive, n_negative=n_negative)


def _columns(decision: ArrayLike, y: ArrayLike) -> tuple[_Floats, NDArray[np.bool_], tuple[int, ...]]:
    values, labels = np.asarray(decision, dtype=np.float64), np.asarray(y)
    if values.ndim not in {1, 2} or labels.shape != values.shape[:1] or labels.size == 0:
        raise ValueError(
            f"decision must be (n,) or (n, m) and y (n,) with n at least 1; got {values.shape} and {labels.shape}."
        )
    if labels.dtype != np.bool_:
        raise ValueError(f"y must be bool (True is positive), not {labels.dtype}. Compare it with the positive label.")
    if not np.isfinite(values).all():
        raise ValueError("decision must be finite. A model that yields NaN or infinite logits cannot be measured.")
    return np.ascontiguousarray(values.reshape(labels.size, -1).T), labels, values.shape[1:]


def _by_class(columns: _Floats, labels: NDArray[np.bool_]) -> tuple[_Floats, _Floats]:
    """Return the values of the positive and of the negative cells, each row ascending."""
    return np.sort(columns[:, labels], axis=1), np.sort(columns[:, ~labels], axis=1)


def _ranking(positives: _Floats, negatives: _Floats) -> _Floats:
    """Return ROC AUC and average precision of each row, shape (m, 2); NaN where a class is absent."""
    ranked = np.full((positives.shape[0], 2), np.nan)
    if positives.shape[1] and negatives.shape[1]:
        ranking_kernel(positives, negatives, ranked)
    return ranked


def _share(part: _Floats, whole: _Floats) -> _Floats:
    share = np.full(part.shape, np.nan)
    np.divide(part, whole, out=share, where=whole > 0)
    return share
