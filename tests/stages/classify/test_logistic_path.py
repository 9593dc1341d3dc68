"""The path solver against independent oracles: a dual bound, the optimality conditions, scikit-learn, L-BFGS-B."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import entr, expit
from sklearn.linear_model import LogisticRegression

from stagewright.stages.classify.kernel import warm
from stagewright.stages.classify.logistic_path import LogisticPath, fit_logistic_path

Floats = NDArray[np.float64]
Labels = NDArray[np.bool_]

ALPHAS = np.logspace(-4, 5, 20)


def problem(seed: int, n: int, p: int, n_positive: int, shift: float = 1.0) -> tuple[Floats, Labels]:
    """Correlated standardised features with some information about the label."""
    generator = np.random.default_rng(seed)
    y = np.zeros(n, dtype=bool)
    y[:n_positive] = True
    generator.shuffle(y)
    x = generator.normal(size=(n, p)) @ (np.eye(p) + generator.normal(size=(p, p)) / np.sqrt(p))
    x[y, : min(5, p)] += shift * generator.normal(size=min(5, p))
    return (x - x.mean(axis=0)) / x.std(axis=0), y


def class_weights(y: Labels, *, balanced: bool) -> Floats:
    return np.where(y, y.size / (2 * y.sum()), y.size / (2 * (~y).sum())) if balanced else np.ones(y.size)


def objective(
    x: Floats, y: Labels, coef: Floats, intercept: float, alpha: float, *, l1_ratio: float = 1.0, balanced: bool = True
) -> float:
    """Write the documented objective down anew."""
    z = x @ coef + intercept
    loss = (class_weights(y, balanced=balanced) * np.logaddexp(0.0, np.where(y, -z, z))).sum()
    return float(loss + alpha * (l1_ratio * np.abs(coef).sum() + (1 - l1_ratio) / 2 * (coef**2).sum()))


def dual_value(x: Floats, y: Labels, path: LogisticPath, place: int, l1_ratio: float, *, balanced: bool) -> float:
    """Bound the optimum from below by the entropies of a feasible dual point, not by the solver's formula."""
    weights = class_weights(y, balanced=balanced)
    z = x @ path.coefs[place] + path.intercepts[place]
    share = expit(np.where(y, -z, z))
    sums = [(weights * share)[~y].sum(), (weights * share)[y].sum()]
    share = share * np.where(y, min(sums) / sums[1], min(sums) / sums[0])
    slope = np.abs(x.T @ (weights * share * np.where(y, 1.0, -1.0)))
    alpha = path.alphas[place]
    conjugate = 0.0
    if l1_ratio == 1.0:
        share = share * min(1.0, alpha / max(slope.max(), 1e-300))
    else:
        excess = np.maximum(slope - alpha * l1_ratio, 0.0)
        conjugate = float((excess**2).sum() / (2 * alpha * (1 - l1_ratio)))
    return float((weights * (entr(share) + entr(1 - share))).sum()) - conjugate


HARD = {
    "plain": problem(0, 372, 40, 120),
    "one positive of 1,376": problem(1, 1376, 40, 1),
    "two cells": (np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([True, False])),
    "separable": problem(2, 300, 20, 100, shift=6.0),
    "nearly separable": problem(3, 200, 40, 12, shift=2.0),
    "more features than cells": problem(4, 80, 200, 30),
    "constant columns": (
        np.hstack([problem(5, 200, 5, 60)[0], np.zeros((200, 2)), np.full((200, 1), 3.0)]),
        problem(5, 200, 5, 60)[1],
    ),
    "duplicated columns": (np.hstack([problem(6, 200, 8, 60)[0]] * 3), problem(6, 200, 8, 60)[1]),
    "nothing to learn from": (np.zeros((30, 3)), np.arange(30) < 7),
    "the label as a feature": (
        np.hstack([problem(7, 200, 5, 60)[0], np.where(problem(7, 200, 5, 60)[1], 1.0, -1.0)[:, np.newaxis]]),
        problem(7, 200, 5, 60)[1],
    ),
    "collinear non-negative scores": (
        np.random.default_rng(8).gamma(1.0, size=(400, 4)) @ np.random.default_rng(9).gamma(1.0, size=(4, 30)),
        np.random.default_rng(8).gamma(1.0, size=(400, 4))[:, 0] > 1.2,
    ),
}


@pytest.mark.parametrize("l1_ratio", [1.0, 0.5, 0.0])
@pytest.mark.parametrize("name", HARD)
def test_optimum_is_certified(name: str, l1_ratio: float) -> None:
    """Hard problems, alphas 1e-4 to 1e5: each objective is what is documented and within 1e-10 of a lower bound."""
    x, y = HARD[name]
    for balanced in (True, False):
        path = fit_logistic_path(x, y, ALPHAS, l1_ratio=l1_ratio, balanced=balanced)
        assert path.converged.all()
        for place, alpha in enumerate(ALPHAS):
            expected = objective(
                x, y, path.coefs[place], path.intercepts[place], alpha, l1_ratio=l1_ratio, balanced=balanced
            )
            assert path.objectives[place] == pytest.approx(expected, rel=1e-11)
            gap = expected - dual_value(x, y, path, place, l1_ratio, balanced=balanced)
            assert -1e-11 * expected <= gap <= 2e-10 * expected


@pytest.mark.parametrize("seed", range(15))
def test_optimality_conditions(seed: int) -> None:
    """Random problems: the residuals balance, and each slope is alpha against its coefficient's sign or less."""
    generator = np.random.default_rng(100 + seed)
    n, p = int(generator.integers(40, 400)), int(generator.integers(1, 60))
    x, y = problem(seed, n, p, int(generator.integers(5, n // 2)), shift=float(generator.uniform(0.0, 1.0)))
    weights = class_weights(y, balanced=True)
    path = fit_logistic_path(x, y, np.logspace(-1, 3, 9), tol=1e-13)
    for alpha, coef, intercept in zip(path.alphas, path.coefs, path.intercepts, strict=True):
        residual = weights * (expit(x @ coef + intercept) - y)
        slope = x.T @ residual
        assert abs(residual.sum()) <= 1e-5
        np.testing.assert_allclose(slope[coef != 0], -alpha * np.sign(coef[coef != 0]), rtol=1e-4)
        assert (np.abs(slope) <= alpha * (1 + 1e-4)).all()


@pytest.mark.parametrize("l1_ratio", [1.0, 0.3])
def test_no_generic_solver_goes_lower(l1_ratio: float) -> None:
    """L-BFGS-B on positive and negative parts finds the same objective (1e-7) and the same coefficients (1e-3)."""
    x, y = problem(11, 250, 12, 70)
    weights, sign, p = class_weights(y, balanced=True), np.where(y, 1.0, -1.0), x.shape[1]
    path = fit_logistic_path(x, y, [0.1, 3.0, 20.0], l1_ratio=l1_ratio)

    for place, alpha in enumerate(path.alphas):

        def value_and_slope(parts: Floats, alpha: float = float(alpha)) -> tuple[float, Floats]:
            coef = parts[:p] - parts[p : 2 * p]
            margin = sign * (x @ coef + parts[-1])
            residual = -weights * sign * expit(-margin)
            ridge = alpha * (1 - l1_ratio)
            slope = x.T @ residual + ridge * coef
            lasso = alpha * l1_ratio
            value = (weights * np.logaddexp(0, -margin)).sum() + lasso * parts[:-1].sum() + ridge / 2 * (coef**2).sum()
            return value, np.concatenate([slope + lasso, -slope + lasso, [residual.sum()]])

        found = minimize(
            value_and_slope,
            np.zeros(2 * p + 1),
            jac=True,
            method="L-BFGS-B",
            bounds=[(0, None)] * (2 * p) + [(None, None)],
            options={"ftol": 1e-15, "gtol": 1e-9, "maxiter": 20000, "maxfun": 50000},
        )
        assert path.objectives[place] <= found.fun * (1 + 1e-10)
        assert path.objectives[place] == pytest.approx(found.fun, rel=1e-7)
        np.testing.assert_allclose(path.coefs[place], found.x[:p] - found.x[p : 2 * p], atol=1e-3)


@pytest.mark.parametrize("class_weight", ["balanced", None])
def test_ridge_equals_scikit_learn(class_weight: str | None) -> None:
    """With l1_ratio 0 the models are LogisticRegression's at C = 1 / alpha (newton-cholesky), to 1e-5."""
    x, y = problem(12, 300, 15, 80)
    path = fit_logistic_path(x, y, [0.01, 1.0, 100.0], l1_ratio=0.0, balanced=class_weight is not None, tol=1e-13)
    for place, alpha in enumerate(path.alphas):
        model = LogisticRegression(
            C=1 / alpha, l1_ratio=0.0, class_weight=class_weight, solver="newton-cholesky", tol=1e-10, max_iter=500
        ).fit(x, y)
        np.testing.assert_allclose(path.coefs[place], model.coef_[0], rtol=1e-5, atol=1e-7)
        assert path.intercepts[place] == pytest.approx(model.intercept_[0], rel=1e-5, abs=1e-7)


def test_no_worse_than_liblinear() -> None:
    """Liblinear, which penalises its intercept, comes within 1 % of our L1 objective and never below it."""
    x, y = problem(13, 400, 20, 150)
    path = fit_logistic_path(x, y, [0.1, 1.0, 10.0])
    for place, alpha in enumerate(path.alphas):
        model = LogisticRegression(
            C=1 / alpha,
            l1_ratio=1.0,
            class_weight="balanced",
            solver="liblinear",
            intercept_scaling=30.0,
            tol=1e-6,
            max_iter=20000,
        ).fit(x, y)
        theirs = objective(x, y, model.coef_[0], float(model.intercept_[0]), alpha)
        assert path.objectives[place] <= theirs * (1 + 1e-10)
        assert path.objectives[place] == pytest.approx(theirs, rel=1e-2)


def test_strong_penalty_leaves_the_intercept() -> None:
    """Above the largest slope no feature is used: logit exactly 0 with balanced weights, else that of the share."""
    x, y = problem(14, 300, 10, 40)
    balanced = fit_logistic_path(x, y, [1e5])
    assert not balanced.coefs.any()
    assert balanced.intercepts[0] == 0.0
    plain = fit_logistic_path(x, y, [1e5], balanced=False)
    assert not plain.coefs.any()
    assert plain.intercepts[0] == pytest.approx(np.log(40 / 260), rel=1e-14)


def test_order_and_company_of_alphas_do_not_matter() -> None:
    """A model is the same, to the tolerance, in any order of the alphas and when it is fitted alone."""
    x, y = problem(15, 200, 30, 25)
    whole = fit_logistic_path(x, y, ALPHAS)
    order = np.random.default_rng(0).permutation(ALPHAS.size)
    shuffled = fit_logistic_path(x, y, ALPHAS[order])
    np.testing.assert_array_equal(shuffled.coefs, whole.coefs[order])
    np.testing.assert_array_equal(shuffled.n_iter, whole.n_iter[order])
    for place in (0, 7, 12):
        alone = fit_logistic_path(x, y, ALPHAS[[place]])
        assert alone.converged.all()
        assert alone.objectives[0] == pytest.approx(whole.objectives[place], rel=2e-10)


def test_order_of_cells_does_not_matter() -> None:
    """Shuffled cells give the same models to rounding."""
    x, y = problem(16, 200, 10, 60)
    order = np.random.default_rng(0).permutation(y.size)
    first, second = fit_logistic_path(x, y, [1.0]), fit_logistic_path(x[order], y[order], [1.0])
    np.testing.assert_allclose(first.coefs, second.coefs, rtol=1e-6, atol=1e-9)


def test_swapped_labels_mirror_the_model() -> None:
    """Calling the other class positive changes the sign of everything and nothing else."""
    x, y = problem(17, 150, 10, 40)
    first, second = fit_logistic_path(x, y, ALPHAS), fit_logistic_path(x, ~y, ALPHAS)
    np.testing.assert_allclose(first.objectives, second.objectives, rtol=2e-10)
    np.testing.assert_allclose(first.coefs[8:], -second.coefs[8:], rtol=1e-4, atol=1e-6)


def test_a_stopped_fit_says_so() -> None:
    """With one Newton step allowed the result is marked as not converged, and its gap is the true one."""
    x, y = problem(18, 300, 20, 90)
    path = fit_logistic_path(x, y, [0.5], max_iter=1)
    assert not path.converged[0]
    assert path.n_iter[0] == 1
    best = fit_logistic_path(x, y, [0.5]).objectives[0]
    assert path.objectives[0] - best <= path.gaps[0] * path.objectives[0]


def test_barely_separable_cells_reach_what_rounding_allows() -> None:
    """Some 50 features for 100 cells at alpha 1e-4: finite models, certified relative to the null objective."""
    for seed in range(12):
        generator = np.random.default_rng(seed)
        y = generator.permutation(np.arange(100) < 34)
        path = fit_logistic_path(generator.normal(size=(100, 40 + seed)), y, [1e-4, 1e-3])
        assert np.isfinite(path.coefs).all()
        assert path.converged.all()
        assert (path.gaps * path.objectives <= 1e-10 * 100 * np.log(2)).all()
        assert path.gaps.max() <= 1e-6


def test_decision_is_the_linear_predictor() -> None:
    """`decision` gives a logit for each cell and alpha."""
    x, y = problem(19, 60, 4, 20)
    path = fit_logistic_path(x, y, [1.0, 0.1])
    np.testing.assert_allclose(path.decision(x)[:, 1], x @ path.coefs[1] + path.intercepts[1], rtol=1e-12)


def test_input_is_left_alone() -> None:
    """Neither the features nor the labels are written to."""
    x, y = problem(20, 60, 4, 20)
    x_before, y_before = x.copy(), y.copy()
    fit_logistic_path(x, y, [1.0])
    np.testing.assert_array_equal(x, x_before)
    np.testing.assert_array_equal(y, y_before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": np.ones(20, dtype=bool)}, "one class only"),
        ({"y": np.arange(20) % 2}, "must be bool"),
        ({"y": np.ones(3, dtype=bool)}, "y \\(n,\\)"),
        ({"x": np.full((20, 2), np.nan)}, "finite"),
        ({"x": np.zeros((20, 0))}, "p at least 1"),
        ({"alphas": []}, "alphas"),
        ({"alphas": [0.0]}, "alphas"),
        ({"alphas": [np.inf]}, "alphas"),
        ({"l1_ratio": 1.5}, "l1_ratio"),
        ({"tol": 0.0}, "l1_ratio"),
    ],
)
def test_bad_input_is_named(change: dict[str, object], message: str) -> None:
    """Each kind of bad input is one ValueError that says what is allowed."""
    arguments: dict[str, object] = {"x": np.zeros((20, 2)), "y": np.arange(20) < 5, "alphas": [1.0]}
    with pytest.raises(ValueError, match=message):
        fit_logistic_path(**(arguments | change))  # type: ignore[arg-type]  # wrong on purpose


def test_warm_compiles_everything() -> None:
    """After `warm` a fit compiles nothing."""
    from stagewright.stages.classify.kernel import logistic_path_kernel  # noqa: PLC0415 - only its signatures matter

    warm()
    before = len(logistic_path_kernel.signatures)  # type: ignore[attr-defined]  # numba's dispatcher
    fit_logistic_path(*problem(21, 50, 3, 20), [1.0, 2.0])
    fit_logistic_path(*problem(21, 50, 3, 20), [1.0], l1_ratio=0.0, balanced=False)
    assert len(logistic_path_kernel.signatures) == before == 1  # type: ignore[attr-defined]  # numba's dispatcher
