"""Logistic regression as the reference study calls it: scikit-learn's saga, one fit an alpha, metrics fold by fold.

MinhangXu/sc_classification, `logistic_backend.py` and `lr_lasso.py`: float32 embeddings that are not standardised,
balanced classes, at most 5,000 iterations, tolerance 1e-4, cold starts. Facts are taken from there, no code.
"""

import time
import warnings

import numpy as np
from sklearn import metrics
from sklearn.linear_model import LogisticRegression

__all__ = ["fit", "fold_seconds", "path_seconds"]

ITERATIONS = 5000


def fit(x: np.ndarray, y: np.ndarray, alpha: float, l1_ratio: float = 1.0) -> LogisticRegression:
    """Fit one model."""
    model = LogisticRegression(
        C=1 / alpha, l1_ratio=l1_ratio, solver="saga", class_weight="balanced", random_state=42, max_iter=ITERATIONS
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it has not converged
        return model.fit(x, y)


def path_seconds(x: np.ndarray, y: np.ndarray, alphas: np.ndarray) -> float:
    """Return how long a path takes, without any metric."""
    single = x.astype(np.float32)
    started = time.perf_counter()
    for alpha in alphas:
        fit(single, y, alpha)
    return time.perf_counter() - started


def fold_seconds(x: np.ndarray, y: np.ndarray, test: np.ndarray, alphas: np.ndarray, l1_ratio: float = 1.0) -> float:
    """Return how long one fold takes at all alphas, with the metrics that the reference computes of it."""
    single = x.astype(np.float32)
    started = time.perf_counter()
    for alpha in alphas:
        model = fit(single[~test], y[~test], alpha, l1_ratio)
        called, chance = model.predict(single[test]), model.predict_proba(single[test])[:, 1]
        metrics.accuracy_score(y[test], called)
        for label in (True, False):
            mine = y[test] == label
            metrics.accuracy_score(y[test][mine], called[mine])
            for score in (metrics.precision_score, metrics.recall_score, metrics.f1_score):
                score(y[test], called, pos_label=label, zero_division=0)
        false_positive, true_positive, _ = metrics.roc_curve(y[test], chance)
        metrics.auc(false_positive, true_positive)
    return time.perf_counter() - started
