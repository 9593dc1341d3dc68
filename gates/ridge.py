"""Ridge logistic regression by Newton steps: for few features, and independent of the stage's solver."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["ridge_decision"]

STEPS = 100
SETTLED = 1e-10
Floats = NDArray[np.float64]


def ridge_decision(train: Floats, label: NDArray[np.bool_], test: Floats, alpha: float) -> Floats:
    """Return the logits of cells, by a model that was fitted to others.

    Minimised is sum_i s_i log(1 + exp(-t_i z_i)) + alpha / 2 |w|^2 with a free intercept, s_i = n / (2 * cells of the
    class): scikit-learn's ridge with ``C = 1 / alpha`` and balanced classes. Features are standardised by the training
    cells; a step that does not lower the objective is halved.

    Parameters
    ----------
    train, test
        Features, shapes (n, p) and (m, p).
    label
        Of the training cells, both classes, shape (n,).
    alpha
        Above 0.
    """
    mean, spread = train.mean(axis=0), train.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    x = np.column_stack([np.ones(len(train)), (train - mean) / spread])
    n, n_positive = label.size, int(label.sum())
    weight = np.where(label, n / (2 * n_positive), n / (2 * (n - n_positive)))
    sign = np.where(label, 1.0, -1.0)
    penalty = np.full(x.shape[1], alpha)
    penalty[0] = 0.0

    def objective(w: Floats) -> float:
        return float((weight * np.logaddexp(0.0, -sign * (x @ w))).sum() + 0.5 * (penalty * w**2).sum())

    w = np.zeros(x.shape[1])
    value = objective(w)
    for _ in range(STEPS):
        miss = 0.5 * (1.0 - np.tanh(0.5 * sign * (x @ w)))
        gradient = penalty * w - x.T @ (weight * sign * miss)
        curvature = (x * (weight * miss * (1.0 - miss))[:, None]).T @ x + np.diag(penalty + 1e-12)
        step = np.linalg.solve(curvature, gradient)
        size, before = 1.0, value
        while size > SETTLED and (value := objective(w - size * step)) > before:
            size /= 2
        if value > before or before - value <= SETTLED * max(before, SETTLED):
            w = w if value > before else w - size * step
            break
        w -= size * step
    decision: Floats = np.column_stack([np.ones(len(test)), (test - mean) / spread]) @ w
    return decision
