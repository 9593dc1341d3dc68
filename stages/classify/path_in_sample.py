"""Path of penalties fitted and measured on the same cells."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stagewright.stages.classify.logistic_path import LogisticPath, fit_logistic_path, null_objective
from stagewright.stages.classify.metrics import BinaryMetrics, binary_metrics
from stagewright.stages.classify.standardise import Standardisation, fit_standardisation

__all__ = ["InSamplePath", "path_without_cv"]


@dataclass(frozen=True, slots=True)
class InSamplePath:
    """Models of a path with metrics on the cells that they were fitted to.

    In-sample metrics are optimistic, the more so the weaker the penalty and the fewer the cells; they describe the fit
    and are no estimate of performance on other cells.

    Attributes
    ----------
    path
        Models on the standardised features: coefficients are logits per standard deviation.
    standardisation
        Mean and standard deviation of the features, to apply the models to other cells.
    decision
        Logits of the cells, shape (n, m).
    metrics
        Metrics of `decision`, arrays of shape (m,).
    n_nonzero
        Coefficients that are not 0, shape (m,).
    deviance_explained
        1 - deviance / deviance of the model without features, with the weights of the fit; shape (m,), in [0, 1]
        up to the gap of the fit; higher is a closer fit.
    """

    path: LogisticPath
    standardisation: Standardisation
    decision: NDArray[np.float64]
    metrics: BinaryMetrics
    n_nonzero: NDArray[np.int64]
    deviance_explained: NDArray[np.float64]


def path_without_cv(
    x: ArrayLike,
    y: ArrayLike,
    alphas: ArrayLike,
    *,
    l1_ratio: float = 1.0,
    balanced: bool = True,
    tol: float = 1e-10,
    max_iter: int = 200,
) -> InSamplePath:
    """Standardise the features, fit the path on all cells and measure it on the same cells.

    Parameters
    ----------
    x
        Features, shape (n, p), finite. Standardised here (ddof 0; a constant feature becomes 0).
    y
        Labels, shape (n,), bool; True is the positive class.
    alphas, l1_ratio, balanced, tol, max_iter
        As in `fit_logistic_path`.

    Returns
    -------
    InSamplePath
        In the order of `alphas`.

    Raises
    ------
    ValueError
        As `fit_logistic_path`.
    """
    features, labels = np.asarray(x, dtype=np.float64), np.asarray(y)
    if features.ndim != 2 or 0 in features.shape:  # noqa: PLR2004 - cells by features
        raise ValueError(f"x must be (n, p) with at least one cell and one feature, not {features.shape}.")
    standardisation = fit_standardisation(features)
    standardised = standardisation.apply(features)
    path = fit_logistic_path(
        standardised, labels, alphas, l1_ratio=l1_ratio, balanced=balanced, tol=tol, max_iter=max_iter
    )
    decision = path.decision(standardised)
    metrics = binary_metrics(decision, labels)
    null = null_objective(metrics.n_positive, metrics.n_negative, balanced=balanced)
    penalty = path.alphas * (
        l1_ratio * np.abs(path.coefs).sum(axis=1) + 0.5 * (1.0 - l1_ratio) * (path.coefs**2).sum(axis=1)
    )
    return InSamplePath(
        path=path,
        standardisation=standardisation,
        decision=decision,
        metrics=metrics,
        n_nonzero=np.count_nonzero(path.coefs, axis=1).astype(np.int64),
        deviance_explained=1.0 - (path.objectives - penalty) / null,
    )
