"""One step of the logistic path under many labellings, against a plain solution of the same problem."""

# Libraries without types: what they return is compared, not computed with.
# pyright: reportArgumentType=false

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import ElasticNet
from sklearn.metrics import roc_auc_score

from stagewright.stages.classify.logistic_path import fit_logistic_path
from stagewright.stages.negative_controls.permute_labels import permute_labels, strata_of
from stagewright.stages.search_permutation import one_step
from stagewright.stages.search_permutation.one_step import one_step_auc
from stagewright.stages.search_permutation.search import labellings_of

ALPHAS = np.array([100.0, 0.01, 1.0, 10.0, 30.0])
N, P = 90, 6


@pytest.fixture
def cells() -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]]:
    """Return features, labels of three labellings, folds and strata."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(N, P)) @ (np.eye(P) + 0.4 * rng.normal(size=(P, P))) * np.geomspace(5, 0.5, P) + 3.0
    labels = rng.random((3, N)) < np.array([0.3, 0.5, 0.1])[:, np.newaxis]
    x[labels[0], 0] += 4.0
    return x, labels, rng.permutation(np.arange(N) % 4), rng.integers(0, 3, N)


def _plain(
    x: NDArray[np.float64], y: NDArray[np.bool_], folds: NDArray[np.int64], alpha: float, l1_ratio: float
) -> NDArray[np.float64]:
    """Return the decisions out of fold, by scikit-learn or by the normal equations."""
    decision = np.empty(N)
    for fold in range(4):
        test = folds == fold
        train = x[~test]
        z = (train - train.mean(axis=0)) / train.std(axis=0)
        of_test = (x[test] - train.mean(axis=0)) / train.std(axis=0)
        means = z[y[~test]].mean(axis=0), z[~y[~test]].mean(axis=0)
        gram, slope, strength = z.T @ z / len(z), means[0] - means[1], 4 * alpha / len(z)
        if l1_ratio == 0:
            coef = np.linalg.solve(gram + strength * np.eye(P), slope)
        else:
            root = np.linalg.cholesky(gram)  # half of |root' w - root^-1 slope|^2 is the quadratic
            model = ElasticNet(alpha=strength / P, l1_ratio=l1_ratio, fit_intercept=False, tol=1e-12, max_iter=10**6)
            coef = model.fit(root.T, np.linalg.solve(root, slope)).coef_
        decision[test] = (of_test - (means[0] + means[1]) / 2) @ coef
    return decision


def _within(decision: NDArray[np.float64], y: NDArray[np.bool_], stratum: NDArray[np.int64]) -> float:
    parts = [(y[stratum == s], decision[stratum == s]) for s in np.unique(stratum)]
    pairs = [int(own.sum()) * int((~own).sum()) for own, _ in parts]
    areas = [roc_auc_score(*part) if n else 0.0 for part, n in zip(parts, pairs, strict=True)]
    return float(np.dot(areas, pairs) / sum(pairs))


@pytest.mark.parametrize("l1_ratio", [1.0, 0.5, 0.0])
def test_scores_are_those_of_a_plain_solution(
    cells: tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]], l1_ratio: float
) -> None:
    """Sparse paths stop early, at a thousandth of the largest slope: few pairs of cells change places by that."""
    x, labels, folds, stratum = cells
    found = one_step_auc(x, labels, folds, stratum, ALPHAS, l1_ratio)
    plain = np.array([[_within(_plain(x, y, folds, alpha, l1_ratio), y, stratum) for alpha in ALPHAS] for y in labels])
    np.testing.assert_allclose(found, plain, rtol=0, atol=1e-12 if l1_ratio == 0 else 4e-3)


def test_blocks_of_labellings_change_nothing(
    cells: tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is held in memory at a time is a matter of memory alone."""
    whole = one_step_auc(*cells, ALPHAS, 1.0)
    monkeypatch.setattr(one_step, "BLOCK", 1)
    np.testing.assert_array_equal(one_step_auc(*cells, ALPHAS, 1.0), whole)


def test_a_constant_feature_and_a_class_missing_from_training_are_harmless() -> None:
    """A fold that holds the only positive cells has no model, and every cell the same decision."""
    x = np.column_stack([np.ones(20), np.arange(20.0)])
    folds = np.repeat([0, 1], 10)
    labels = np.zeros((1, 20), dtype=np.bool_)
    labels[0, :3] = True
    found = one_step_auc(x, labels, folds, np.zeros(20, dtype=np.int64), np.array([0.1]), 1.0)
    assert np.isfinite(found).all()
    assert one_step_auc(x, labels & False, folds, np.zeros(20, dtype=np.int64), np.array([0.1]), 1.0).item() == 0.5


def test_the_step_ranks_cells_as_the_path_does() -> None:
    """At the same strength the in-sample ranks of the step and of the converged path agree closely."""
    rng = np.random.default_rng(8)
    y = rng.random(400) < 0.3
    x = rng.normal(size=(400, 8))
    x[y, :2] += 0.7
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    gram, slope = z.T @ z / 400, z[y].mean(axis=0) - z[~y].mean(axis=0)
    for alpha in (1.0, 10.0):
        path = fit_logistic_path(z, y, [alpha])
        root = np.linalg.cholesky(gram)
        step = ElasticNet(alpha=4 * alpha / 400 / 8, l1_ratio=1.0, fit_intercept=False, tol=1e-12, max_iter=10**6)
        coef = step.fit(root.T, np.linalg.solve(root, slope)).coef_
        ranks = [pd.Series(values).rank() for values in (z @ coef, path.decision(z)[:, 0])]
        assert np.corrcoef(ranks[0], ranks[1])[0, 1] > 0.98


def test_labellings_are_the_permutations_of_the_controls() -> None:
    """The first is the observed one, the n-th permutation that of the same number elsewhere."""
    rng = np.random.default_rng(1)
    obs = pd.DataFrame({"patient": rng.choice(["a", "b"], 21)})
    positive = rng.random(21) < 0.4
    strata = strata_of(obs, ["patient"], positive)
    drawn = labellings_of(positive, strata, n=3, seed=9)
    rows = np.array([20, 0, 7, 8, 9])
    expected = [positive, *(permute_labels(positive, strata, seed=9, number=number) for number in (1, 2, 3))]
    np.testing.assert_array_equal(drawn.of(rows), np.stack(expected)[:, rows])
