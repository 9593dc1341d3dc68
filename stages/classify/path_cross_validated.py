"""Path of penalties measured by repeated cross-validation."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stagewright.stages.classify.fold_prediction import FoldPrediction, predict_left_out
from stagewright.stages.classify.folds import repeated_grouped_folds, repeated_stratified_folds
from stagewright.stages.classify.metrics import BinaryMetrics, binary_metrics, probability, roc_auc
from stagewright.stages.classify.path_in_sample import InSamplePath, path_without_cv
from stagewright.stages.classify.threads import map_nogil

__all__ = ["CrossValidatedPath", "cross_validated_path", "measured_path"]

_Floats = NDArray[np.float64]
_TIE = 1e-12  # areas are ratios of counts: what differs by less differs by rounding only


@dataclass(frozen=True, slots=True)
class CrossValidatedPath:
    """A path measured out of fold, and refitted on all cells.

    The best alpha is the one with the highest mean AUC over the repeats, the larger alpha among equals. It is chosen on
    the very predictions that `auc_at_best` is computed from, so that value is optimistic (a maximum over m alphas);
    `auc_choice_left_out` is not chosen on what it scores, and `auc_by_alpha` holds the values without any choice.
    Out-of-fold predictions of different folds come from different models and are pooled as they are.

    Attributes
    ----------
    alphas
        Penalty strengths, shape (m,), in the order asked for.
    folds
        Fold of each cell, shape (n_repeats, n).
    metrics
        Metrics of the pooled out-of-fold predictions, arrays of shape (n_repeats, m).
    metrics_mean, metrics_sd
        By name, mean and standard deviation (ddof 1; NaN for one repeat) over the repeats, shape (m,). Repeats share
        their cells: the standard deviation is the scatter of the fold draw, not the uncertainty from the cells.
    auc_by_alpha
        Mean AUC over the repeats, shape (m,).
    auc_by_fold
        AUC within each test fold, shape (n_repeats, n_folds, m); NaN where a grouped fold lacks a class.
    best
        Place of the best alpha in `alphas`.
    one_standard_error
        Place of the largest alpha whose mean AUC is at most one standard error below the best; `best` when the
        standard error is NaN.
    standard_error
        At the best alpha: standard deviation over the folds divided by the root of their number, mean over repeats;
        NaN when no repeat has two folds with both classes.
    auc_at_best
        Mean AUC at the best alpha.
    auc_choice_left_out
        For each repeat, shape (n_repeats,): AUC of the pooled predictions where each fold is predicted at the alpha
        that has the highest mean AUC in the other folds of the repeat. Nearly free of the optimism of the choice (the
        models of the other folds have seen the fold); a nested cross-validation would be free of it.
    oof_decision, oof_probability
        Out-of-fold logits and probabilities at the best alpha, shape (n_repeats, n).
    oof_decision_by_alpha
        Out-of-fold logits at every alpha, shape (n_repeats, n, m), or None if not asked for.
    converged
        Whether the fit of each fold converged, as in `LogisticPath`, shape (n_repeats, n_folds, m).
    worst_gap
        Largest duality gap relative to the objective over all folds and alphas.
    refit
        Models of all cells at every alpha, with their in-sample metrics.
    """

    alphas: _Floats
    folds: NDArray[np.int64]
    metrics: BinaryMetrics
    metrics_mean: dict[str, _Floats]
    metrics_sd: dict[str, _Floats]
    auc_by_alpha: _Floats
    auc_by_fold: _Floats
    best: int
    one_standard_error: int
    standard_error: float
    auc_at_best: float
    auc_choice_left_out: _Floats
    oof_decision: _Floats
    oof_probability: _Floats
    oof_decision_by_alpha: _Floats | None
    converged: NDArray[np.bool_]
    worst_gap: float
    refit: InSamplePath


def cross_validated_path(  # noqa: PLR0913 - what defines the estimate is named in the call
    x: ArrayLike,
    y: ArrayLike,
    alphas: ArrayLike,
    *,
    n_folds: int,
    n_repeats: int,
    seed: int,
    groups: ArrayLike | None = None,
    l1_ratio: float = 1.0,
    balanced: bool = True,
    tol: float = 1e-10,
    max_iter: int = 200,
    n_workers: int = 1,
    keep_all_decisions: bool = False,
) -> CrossValidatedPath:
    """Fit the path in each training part, predict the cells left out, pool and measure the predictions.

    Features are standardised by the training cells of each fold, and class weights are those of the training cells.

    Parameters
    ----------
    x
        Features, shape (n, p), finite.
    y
        Labels, shape (n,), bool; True is the positive class.
    alphas
        Penalty strengths, shape (m,), above 0.
    n_folds, n_repeats
        Folds and draws of folds; ask `feasible_folds` (or `feasible_grouped_folds`) how many the labels allow.
    seed
        Seed of the folds; nothing else is random.
    groups
        Group of each cell, shape (n,), if no group may lie on both sides of a fold.
    l1_ratio, balanced, tol, max_iter
        As in `fit_logistic_path`.
    n_workers
        Threads; the result does not depend on it.
    keep_all_decisions
        Return the predictions at every alpha too: 8 * n_repeats * n * m bytes.

    Returns
    -------
    CrossValidatedPath
        In the order of `alphas`.

    Raises
    ------
    ValueError
        As `fit_logistic_path`, and if the labels do not allow `n_folds`.
    """
    features, labels = np.asarray(x, dtype=np.float64), np.asarray(y)
    # First on all cells: whatever is wrong with the input is then said about the input, not about one fold of it.
    refit = path_without_cv(features, labels, alphas, l1_ratio=l1_ratio, balanced=balanced, tol=tol, max_iter=max_iter)
    penalties = refit.path.alphas
    if groups is None:
        folds = repeated_stratified_folds(labels, n_folds, n_repeats, seed)
    else:
        folds = repeated_grouped_folds(labels, groups, n_folds, n_repeats, seed)

    def predict(place: tuple[int, int]) -> FoldPrediction:
        test = folds[place[0]] == place[1]
        (predicted,) = predict_left_out(
            features, labels, ~test, test, penalties, [l1_ratio], balanced=balanced, tol=tol, max_iter=max_iter
        )
        return predicted

    places = list(np.ndindex(n_repeats, n_folds))
    predictions = dict(zip(places, map_nogil(predict, places, n_workers), strict=True))
    return measured_path(labels, folds, predictions, refit, n_workers=n_workers, keep_all_decisions=keep_all_decisions)


def measured_path(
    labels: NDArray[np.bool_],
    folds: NDArray[np.int64],
    predictions: Mapping[tuple[int, int], FoldPrediction],
    refit: InSamplePath,
    *,
    n_workers: int = 1,
    keep_all_decisions: bool = False,
) -> CrossValidatedPath:
    """Pool the predictions of all folds and measure them.

    Parameters
    ----------
    labels, folds
        Of the cells, shapes (n,) and (n_repeats, n).
    predictions
        By repeat and fold, of the fold's cells in their order.
    refit
        The models of all cells, whose alphas are those of the predictions.
    n_workers, keep_all_decisions
        As in `cross_validated_path`.
    """
    penalties, n_repeats, n_folds = refit.path.alphas, len(folds), int(folds.max()) + 1
    decisions = np.empty((n_repeats, labels.size, penalties.size))
    gaps = np.empty((n_repeats, n_folds, penalties.size))
    converged = np.empty(gaps.shape, dtype=bool)
    auc_by_fold = np.empty_like(gaps)
    for place, predicted in predictions.items():
        test = folds[place[0]] == place[1]
        decisions[place[0], test] = predicted.decision
        gaps[place], converged[place] = predicted.gaps, predicted.converged
        auc_by_fold[place] = roc_auc(predicted.decision, labels[test])
    by_repeat = map_nogil(lambda decision: binary_metrics(decision, labels), list(decisions), n_workers)
    stacked = {name: np.stack([getattr(one, name) for one in by_repeat]) for name in BinaryMetrics.names()}
    metrics = BinaryMetrics(**stacked, n_positive=by_repeat[0].n_positive, n_negative=by_repeat[0].n_negative)

    auc_by_alpha = metrics.roc_auc.mean(axis=0)
    best = _best(auc_by_alpha, penalties)
    standard_error = _standard_error(auc_by_fold[:, :, best])
    within = auc_by_alpha >= auc_by_alpha[best] - (0.0 if np.isnan(standard_error) else standard_error) - _TIE
    return CrossValidatedPath(
        alphas=penalties,
        folds=folds,
        metrics=metrics,
        metrics_mean={name: value.mean(axis=0) for name, value in stacked.items()},
        metrics_sd={
            name: value.std(axis=0, ddof=1) if n_repeats > 1 else np.full(penalties.size, np.nan)
            for name, value in stacked.items()
        },
        auc_by_alpha=auc_by_alpha,
        auc_by_fold=auc_by_fold,
        best=best,
        one_standard_error=int(np.argmax(np.where(within, penalties, 0.0))),
        standard_error=standard_error,
        auc_at_best=float(auc_by_alpha[best]),
        auc_choice_left_out=np.array(
            [
                _choice_left_out(decisions[repeat], auc_by_fold[repeat], folds[repeat], labels, penalties)
                for repeat in range(n_repeats)
            ]
        ),
        oof_decision=decisions[:, :, best].copy(),
        oof_probability=probability(decisions[:, :, best]),
        oof_decision_by_alpha=decisions if keep_all_decisions else None,
        converged=converged,
        worst_gap=float(gaps.max()),
        refit=refit,
    )


def _best(auc: _Floats, alphas: _Floats) -> int:
    """Place of the highest AUC; among equals, of the largest alpha."""
    return int(np.argmax(np.where(auc >= auc.max() - _TIE, alphas, 0.0)))


def _standard_error(auc_by_fold: _Floats) -> float:
    """Take the standard error over the folds of each repeat, and its mean, from AUCs of shape (n_repeats, n_folds)."""
    errors = [
        defined.std(ddof=1) / np.sqrt(defined.size)
        for defined in (row[~np.isnan(row)] for row in auc_by_fold)
        if defined.size > 1
    ]
    return float(np.mean(errors)) if errors else float("nan")


def _choice_left_out(
    decisions: _Floats, auc_by_fold: _Floats, folds: NDArray[np.int64], labels: NDArray[np.bool_], alphas: _Floats
) -> float:
    """AUC of one repeat with the alpha of each fold chosen in its other folds; NaN where they cannot choose."""
    chosen = np.empty(labels.size)
    for fold in range(auc_by_fold.shape[0]):
        others = np.delete(auc_by_fold, fold, axis=0)
        others = others[~np.isnan(others).any(axis=1)]
        if others.shape[0] == 0:
            return float("nan")
        test = folds == fold
        chosen[test] = decisions[test, _best(others.mean(axis=0), alphas)]
    return float(roc_auc(chosen, labels))
