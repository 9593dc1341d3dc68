"""What paths that were fitted without some cells say of these cells: the inner step of every cross-validation."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stagewright.stages.classify.logistic_path import fit_logistic_path
from stagewright.stages.classify.standardise import fit_standardisation

__all__ = ["FoldPrediction", "predict_left_out"]

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FoldPrediction:
    """The cells of one fold, predicted by the models of one path that did not see them.

    Attributes
    ----------
    decision
        Logits, shape (n_left_out, m).
    gaps, converged
        Of each fit, shape (m,), as in `LogisticPath`.
    """

    decision: _Floats
    gaps: _Floats
    converged: NDArray[np.bool_]


def predict_left_out(  # noqa: PLR0913 - as `cross_validated_path`, which hands its settings on
    features: _Floats,
    labels: NDArray[np.bool_],
    train: NDArray[np.bool_] | NDArray[np.intp],
    left_out: NDArray[np.bool_],
    alphas: _Floats,
    l1_ratios: Sequence[float],
    *,
    balanced: bool = True,
    tol: float = 1e-10,
    max_iter: int = 200,
) -> tuple[FoldPrediction, ...]:
    """Fit a path of each mixture to some cells, standardised by themselves, and predict others.

    Parameters
    ----------
    features, labels
        Of all cells, shapes (n, p) and (n,).
    train
        The cells to train on: a mask of shape (n,), or row numbers.
    left_out
        Which cells are predicted, shape (n,).
    l1_ratios
        Shares of the L1 part, each in [0, 1].
    alphas, balanced, tol, max_iter
        As in `fit_logistic_path`.

    Returns
    -------
    tuple of FoldPrediction
        In the order of `l1_ratios`.

    Raises
    ------
    ValueError
        As `fit_logistic_path`.
    """
    own = features[train]
    standardisation = fit_standardisation(own)
    own, others = standardisation.apply(own), standardisation.apply(features[left_out])
    paths = (
        fit_logistic_path(own, labels[train], alphas, l1_ratio=l1_ratio, balanced=balanced, tol=tol, max_iter=max_iter)
        for l1_ratio in l1_ratios
    )
    return tuple(FoldPrediction(path.decision(others), path.gaps, path.converged) for path in paths)
