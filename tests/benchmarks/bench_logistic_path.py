"""One L1 path of 20 penalty strengths: our kernel against scikit-learn's liblinear on the same data, in one run."""

import statistics
import time
import warnings

import numpy as np
from sklearn.linear_model import LogisticRegression

from stagewright.stages.classify.kernel import warm
from stagewright.stages.classify.logistic_path import fit_logistic_path

ALPHAS = np.logspace(-4, 5, 20)
RUNS = 5


def main() -> list[dict[str, object]]:
    """Return how many times faster the kernel is, and its worst gap."""
    warm()
    rng = np.random.default_rng(1)
    x = rng.normal(size=(1543, 40))
    y = (x[:, 0] + rng.normal(size=1543)) > 1.0
    pairs = [(_ours(x, y), _liblinear(x, y)) for _ in range(RUNS)]
    ratio = statistics.median(theirs / mine for mine, theirs in pairs)
    gap = float(fit_logistic_path(x, y, ALPHAS).gaps.max())
    return [
        {"name": "L1 path: liblinear / ours", "value": round(ratio, 1), "goal": ">= 5", "holds": ratio >= 5},
        {"name": "L1 path: worst relative duality gap", "value": gap, "goal": "<= 1e-8", "holds": gap <= 1e-8},
    ]


def _ours(x: np.ndarray, y: np.ndarray) -> float:
    started = time.perf_counter()
    fit_logistic_path(x, y, ALPHAS)
    return time.perf_counter() - started


def _liblinear(x: np.ndarray, y: np.ndarray) -> float:
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that it has not converged at weak penalties
        for alpha in ALPHAS:
            LogisticRegression(
                l1_ratio=1.0,
                C=1 / alpha,
                solver="liblinear",
                class_weight="balanced",
                intercept_scaling=100.0,
            ).fit(x, y)
    return time.perf_counter() - started


if __name__ == "__main__":
    print(main())
