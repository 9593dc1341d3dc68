"""The cross-validated path against a naive loop, and the properties of its choice."""

import dataclasses

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.preprocessing import StandardScaler

from stagewright.stages.classify.folds import repeated_stratified_folds
from stagewright.stages.classify.logistic_path import fit_logistic_path
from stagewright.stages.classify.metrics import BinaryMetrics
from stagewright.stages.classify.path_cross_validated import CrossValidatedPath, cross_validated_path

ALPHAS = np.logspace(-4, 5, 20)


def cells(seed: int, n: int = 150, n_positive: int = 40, shift: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    y = generator.permutation(np.arange(n) < n_positive)
    x = generator.normal(size=(n, 12)) * 3.0 + 1.0
    x[y, 0] += 3.0 * shift
    return x, y


def equal(first: object, second: object) -> None:
    """Every field of two records, and of the records in them, is equal bit by bit."""
    if dataclasses.is_dataclass(first):
        for field in dataclasses.fields(first):
            equal(getattr(first, field.name), getattr(second, field.name))
    elif isinstance(first, dict):
        assert isinstance(second, dict)
        for key, value in first.items():
            equal(value, second[key])
    else:
        np.testing.assert_array_equal(first, second)


@pytest.fixture(scope="module")
def result() -> CrossValidatedPath:
    x, y = cells(0)
    return cross_validated_path(x, y, ALPHAS, n_folds=4, n_repeats=3, seed=5, keep_all_decisions=True)


def test_equals_a_naive_loop(result: CrossValidatedPath) -> None:
    """Scaling, fitting and predicting fold by fold, one alpha at a time, gives the same predictions and scores."""
    x, y = cells(0)
    folds = repeated_stratified_folds(y, 4, 3, 5)
    np.testing.assert_array_equal(result.folds, folds)
    assert result.oof_decision_by_alpha is not None
    for m in (4, 9, 12):
        decision = np.full((3, y.size), np.nan)
        for repeat in range(3):
            for fold in range(4):
                train, test = folds[repeat] != fold, folds[repeat] == fold
                scaler = StandardScaler().fit(x[train])
                path = fit_logistic_path(scaler.transform(x[train]), y[train], ALPHAS[[m]], tol=1e-13)
                decision[repeat, test] = path.decision(scaler.transform(x[test]))[:, 0]
                assert result.auc_by_fold[repeat, fold, m] == pytest.approx(
                    roc_auc_score(y[test], decision[repeat, test]), abs=1e-12
                )
        np.testing.assert_allclose(result.oof_decision_by_alpha[:, :, m], decision, atol=2e-3)
        auc = [roc_auc_score(y, row) for row in result.oof_decision_by_alpha[:, :, m]]
        precision = [average_precision_score(y, row) for row in result.oof_decision_by_alpha[:, :, m]]
        np.testing.assert_allclose(result.metrics.roc_auc[:, m], auc, atol=1e-12)
        assert result.metrics_mean["roc_auc"][m] == pytest.approx(np.mean(auc), abs=1e-12)
        assert result.metrics_sd["average_precision"][m] == pytest.approx(np.std(precision, ddof=1), abs=1e-12)
    assert result.converged.all()
    assert result.worst_gap <= 1e-10


def test_choice_follows_its_rule(result: CrossValidatedPath) -> None:
    """The best alpha has the highest mean AUC; the one-standard-error alpha is larger and within the error."""
    mean = result.metrics.roc_auc.mean(axis=0)
    np.testing.assert_array_equal(result.auc_by_alpha, mean)
    assert result.auc_at_best == mean[result.best] == pytest.approx(mean.max(), abs=1e-12)
    assert result.alphas[result.one_standard_error] >= result.alphas[result.best]
    errors = result.auc_by_fold[:, :, result.best].std(axis=1, ddof=1) / 2.0
    assert result.standard_error == pytest.approx(errors.mean(), rel=1e-12)
    assert mean[result.one_standard_error] >= mean.max() - result.standard_error
    larger = result.alphas > result.alphas[result.one_standard_error]
    assert (mean[larger] < mean.max() - result.standard_error).all()


def test_predictions_at_the_best_alpha(result: CrossValidatedPath) -> None:
    """Out-of-fold logits and probabilities are those of the best alpha: complete, and in [0, 1]."""
    assert result.oof_decision_by_alpha is not None
    np.testing.assert_array_equal(result.oof_decision, result.oof_decision_by_alpha[:, :, result.best])
    np.testing.assert_allclose(result.oof_probability, 1 / (1 + np.exp(-result.oof_decision)), rtol=1e-12)
    assert set(result.metrics_mean) == set(BinaryMetrics.names())


def test_equal_alphas_resolve_to_the_larger() -> None:
    """Where all penalties are too strong for any feature all AUCs are 0.5, and the largest alpha is chosen."""
    x, y = cells(1)
    null = cross_validated_path(x, y, [1e3, 1e5, 1e4], n_folds=3, n_repeats=2, seed=0)
    np.testing.assert_array_equal(null.auc_by_alpha, 0.5)
    assert null.best == null.one_standard_error == 1
    np.testing.assert_array_equal(null.auc_choice_left_out, 0.5)
    np.testing.assert_array_equal(null.oof_probability, 0.5)


def test_workers_do_not_change_the_result() -> None:
    """One and three threads give the same bits."""
    x, y = cells(2)
    one, three = (
        cross_validated_path(x, y, ALPHAS, n_folds=5, n_repeats=2, seed=1, n_workers=workers) for workers in (1, 3)
    )
    equal(one, three)
    assert one.oof_decision_by_alpha is None


def test_choice_on_noise_is_optimistic() -> None:
    """On labels without signal the AUC of the best alpha is above that of a choice that leaves the fold out."""
    optimism = []
    for seed in range(6):
        x, y = cells(seed, n=80, n_positive=30, shift=0.0)
        noise = cross_validated_path(x, y, ALPHAS[4:14], n_folds=4, n_repeats=2, seed=seed)
        optimism.append(noise.auc_at_best - noise.auc_choice_left_out.mean())
    assert np.mean(optimism) > 0.0


@pytest.mark.parametrize("n_positive", [2, 3])
def test_few_positive_cells(n_positive: int) -> None:
    """With as many folds as positive cells every probability is defined, whatever the columns do in a fold."""
    x, y = cells(3, n=120, n_positive=n_positive)
    x[:, 1] = 4.0
    x[:, 2] = np.where(np.arange(120) == 7, 1.0, 0.0)  # constant in the training part of one fold
    few = cross_validated_path(x, y, ALPHAS, n_folds=n_positive, n_repeats=2, seed=0)
    assert np.isfinite(few.oof_decision).all()
    assert ((few.oof_probability >= 0) & (few.oof_probability <= 1)).all()
    assert few.converged.all()
    assert np.isfinite(few.auc_choice_left_out).all()


def test_groups_stay_together() -> None:
    """With groups no group is on both sides; folds without a class leave NaN in `auc_by_fold` only."""
    x, y = cells(4, n=200, n_positive=80)
    groups = np.repeat(np.arange(10), 20)
    y[groups >= 5] = False
    grouped = cross_validated_path(x, y, ALPHAS, n_folds=3, n_repeats=2, seed=0, groups=groups)
    for folds in grouped.folds:
        assert all(np.unique(folds[groups == group]).size == 1 for group in range(10))
    assert np.isfinite(grouped.auc_by_alpha).all()
    assert np.isfinite(grouped.oof_probability).all()


def test_too_few_cells_are_refused() -> None:
    """More folds than cells of the smaller class is an error that points to `feasible_folds`."""
    x, y = cells(5, n_positive=1)
    with pytest.raises(ValueError, match="feasible_folds"):
        cross_validated_path(x, y, ALPHAS, n_folds=2, n_repeats=1, seed=0)


def test_one_repeat_has_no_spread() -> None:
    """The standard deviation over one repeat is NaN, its mean the value itself."""
    x, y = cells(6)
    single = cross_validated_path(x, y, [0.1, 1.0], n_folds=3, n_repeats=1, seed=0)
    assert np.isnan(single.metrics_sd["roc_auc"]).all()
    np.testing.assert_array_equal(single.metrics_mean["roc_auc"], single.metrics.roc_auc[0])
