"""Penalised logistic regression over a path of penalties."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stagewright.stages.classify.kernel import logistic_path_kernel

__all__ = ["LogisticPath", "fit_logistic_path", "null_objective"]

_LARGEST_RATIO = 10.0  # a Newton step from a much stronger penalty starts too far away
_PASSING_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class LogisticPath:
    """Models of a path, in the order of the penalties that were asked for.

    Attributes
    ----------
    alphas
        Penalty strengths, shape (m,); larger is stronger.
    coefs
        Coefficients, shape (m, p): logits per unit of each feature.
    intercepts
        Intercepts, shape (m,), in logits; not penalised.
    objectives
        Objective at the solution, shape (m,).
    gaps
        Duality gap divided by the objective at the same point, shape (m,): the objective lies above its optimum by at
        most this share.
    n_iter
        Newton steps, shape (m,).
    converged
        Whether the duality gap is at most `tol` of the objective of the model without features, shape (m,). The gap
        is a certificate: with barely separable classes and coefficients in the ten thousands rounding can hold it at
        1e-8 although the objective has settled to all its digits.
    """

    alphas: NDArray[np.float64]
    coefs: NDArray[np.float64]
    intercepts: NDArray[np.float64]
    objectives: NDArray[np.float64]
    gaps: NDArray[np.float64]
    n_iter: NDArray[np.int64]
    converged: NDArray[np.bool_]

    def decision(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Logits of cells, shape (n, m), from features of shape (n, p)."""
        decision: NDArray[np.float64] = x @ self.coefs.T + self.intercepts
        return decision


def fit_logistic_path(
    x: ArrayLike,
    y: ArrayLike,
    alphas: ArrayLike,
    *,
    l1_ratio: float = 1.0,
    balanced: bool = True,
    tol: float = 1e-10,
    max_iter: int = 200,
) -> LogisticPath:
    """Fit penalised logistic regression at each of several penalty strengths.

    For each alpha the objective is, with s_i the weight of cell i, t_i its label as -1 or +1 and z_i = x_i . w + b its
    logit::

        sum_i s_i log(1 + exp(-t_i z_i))  +  alpha (l1_ratio |w|_1 + (1 - l1_ratio) / 2 |w|_2^2)

    The losses are summed, not averaged, and the intercept b is free. This is scikit-learn's objective for
    ``C = 1 / alpha`` times alpha, so the minimiser is the same; glmnet's lambda is alpha / n. Features are used as they
    are: standardise them first (a feature of a scale of 1e6 cannot reach the tolerance). At a penalty strong enough for
    no feature the model is its intercept: 0 exactly (p = 0.5) with balanced weights, else the logit of the share of
    positives.

    Parameters
    ----------
    x
        Features, shape (n, p), finite.
    y
        Labels, shape (n,), bool; True is the positive class.
    alphas
        Penalty strengths, shape (m,), above 0, in any order.
    l1_ratio
        Share of the L1 part in [0, 1]: 1 is the lasso, 0 is ridge.
    balanced
        Weight cells by n / (2 * cells of their class); else each by 1.
    tol
        Largest duality gap, relative to the objective of the model without features. The solver goes on until it holds
        relative to the objective itself, which can be much smaller (weak penalty, separable classes), and stops short
        of that only where rounding lets it go no further (barely separable classes at alpha near 1e-4).
    max_iter
        Most Newton steps at one alpha. A model that needs more is returned with `converged` False.

    Returns
    -------
    LogisticPath
        The models, in the order of `alphas`.

    Raises
    ------
    ValueError
        For other shapes, values that are not finite, a single class, or parameters out of range.

    Notes
    -----
    The models are fitted from the strongest penalty down, each from the one before, with passing points where penalties
    lie more than a factor of ten apart. The time grows with the cube of the features in use (some hundred are quick,
    thousands are not); ridge with more features than cells is solved in their row space, where its solution lies. The
    method is described in `stagewright.stages.classify.kernel`.
    """
    features, labels, penalties = _checked(x, y, alphas)
    if not (0.0 <= l1_ratio <= 1.0 and tol > 0.0 and max_iter >= 1):
        raise ValueError(
            f"l1_ratio must lie in [0, 1], tol above 0 and max_iter at least 1; got {l1_ratio}, {tol}, {max_iter}."
        )
    n, n_positive = labels.size, int(labels.sum())
    weights = np.array([n / (2 * (n - n_positive)), n / (2 * n_positive)]) if balanced else np.ones(2)
    start = 0.0 if balanced else float(np.log(n_positive / (n - n_positive)))

    by_class = np.ascontiguousarray(np.concatenate([features[labels], features[~labels]]).T)
    basis = None
    if l1_ratio == 0.0 and by_class.shape[0] > n:
        basis, triangle = np.linalg.qr(by_class)
        by_class = np.ascontiguousarray(triangle)
    chain, wanted = _chain(penalties, _strongest(by_class, n_positive, weights, start, l1_ratio))
    coefs = np.empty((chain.size, by_class.shape[0]))
    scalars = np.empty((chain.size, 4))
    tolerances = np.full(chain.size, _PASSING_TOLERANCE)
    tolerances[wanted] = tol
    logistic_path_kernel(
        by_class, n_positive, weights, chain, float(l1_ratio), start, tolerances, max_iter, coefs, scalars
    )
    coefs, scalars = coefs[wanted], scalars[wanted]
    if basis is not None:
        coefs = coefs @ basis.T
    return LogisticPath(
        alphas=penalties,
        coefs=coefs,
        intercepts=scalars[:, 0].copy(),
        objectives=scalars[:, 1].copy(),
        gaps=scalars[:, 2].copy(),
        n_iter=scalars[:, 3].astype(np.int64),
        converged=scalars[:, 2] * scalars[:, 1] <= tol * null_objective(n_positive, n - n_positive, balanced=balanced),
    )


def null_objective(n_positive: int, n_negative: int, *, balanced: bool) -> float:
    """Objective of the best model without features: weighted log loss summed over the cells, in nats."""
    n = n_positive + n_negative
    if balanced:
        return float(n * np.log(2.0))
    return float(-n_positive * np.log(n_positive / n) - n_negative * np.log(n_negative / n))


def _strongest(
    by_class: NDArray[np.float64], n_positive: int, weights: NDArray[np.float64], start: float, l1_ratio: float
) -> float:
    """About the penalty above which no feature is used (for ridge: barely used)."""
    share = 1.0 / (1.0 + np.exp(-start))
    residual = np.full(by_class.shape[1], weights[0] * share)
    residual[:n_positive] = -weights[1] * (1.0 - share)
    return float(np.abs(by_class @ residual).max()) / max(l1_ratio, 0.1)


def _chain(alphas: NDArray[np.float64], strongest: float) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Penalties in decreasing order with passing points where they lie far apart, and the place of each alpha in it."""
    order = np.argsort(-alphas, kind="stable")
    chain: list[float] = []
    wanted = np.empty(alphas.size, dtype=np.intp)
    before = strongest
    for place in order:
        alpha = float(alphas[place])
        if before > alpha:
            passing = math.ceil(math.log(before / alpha) / math.log(_LARGEST_RATIO))
            chain.extend(before * (alpha / before) ** (step / passing) for step in range(1, passing))
            before = alpha
        wanted[place] = len(chain)
        chain.append(alpha)
    return np.array(chain), wanted


def _checked(
    x: ArrayLike, y: ArrayLike, alphas: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64]]:
    features, labels, penalties = np.asarray(x, dtype=np.float64), np.asarray(y), np.asarray(alphas, dtype=np.float64)
    if features.ndim != 2 or features.shape[1] == 0 or labels.shape != features.shape[:1]:  # noqa: PLR2004 - (n, p)
        raise ValueError(
            f"x must be (n, p) with p at least 1 and y (n,); got {features.shape} and {labels.shape}. Pass one row "
            "of x and one label for each cell."
        )
    if labels.dtype != np.bool_:
        raise ValueError(f"y must be bool (True is positive), not {labels.dtype}. Compare it with the positive label.")
    if labels.all() or not labels.any():
        raise ValueError(
            f"y holds one class only ({int(labels.sum())} of {labels.size} cells are positive). Leave this group out."
        )
    if not np.isfinite(features).all():
        raise ValueError("x must be finite. Remove or repair the cells or features with NaN or infinite values.")
    if penalties.ndim != 1 or penalties.size == 0 or not (np.isfinite(penalties).all() and (penalties > 0.0).all()):
        raise ValueError("alphas must be one or more finite numbers above 0 in one dimension, as logspace(-4, 5, 20).")
    return features, labels, penalties
