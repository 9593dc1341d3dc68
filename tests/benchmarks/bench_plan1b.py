"""Plan 1B as a whole stage against the reference's way of it, in one run.

Ours is measured whole: 5 folds x 10 repeats, 12 patients, 2 embeddings of 40 factors, 20 alphas, on 3,873 cells; it
reads sealed embeddings, and its metrics, tables and predictions are written. The reference's way is measured on one of
the five folds of every patient in one repeat of one embedding, at every fourth alpha, with its metrics of that fold;
times 4 x 5 x 10 x 2 it is extrapolated to the whole. Its fits on all cells of a patient and its files are not counted.
"""

import statistics

import numpy as np
from embedded_study import embeddings, sealed_study
from reference_way import fold_seconds

from stagewright.stages import plan1b
from stagewright.stages.classify.folds import feasible_folds, stratified_folds
from stagewright.stages.classify.kernel import warm

N_CELLS, FACTORS, METHODS = 3873, 40, ("pca", "fa")
FOLDS, REPEATS = 5, 10
ALPHAS = np.logspace(-4, 5, 20)
THINNED = 4
RUNS = 3
GOAL = 1000


def main() -> list[dict[str, object]]:
    """Return the ratio of the extrapolated to the measured time, with two workers and with one."""
    warm()
    obs, scores = embeddings(N_CELLS, METHODS, FACTORS, seed=1)
    two = statistics.median(_ours(obs, scores, workers=2) for _ in range(RUNS))
    one = _ours(obs, scores, workers=1)
    theirs = _theirs(obs, scores["pca"]) * THINNED * FOLDS * REPEATS * len(METHODS)
    ratio = theirs / two
    return [
        {"name": "plan1b: reference / ours", "value": round(ratio), "goal": f">= {GOAL}", "holds": ratio >= GOAL},
        _fact("plan1b: reference / ours, one worker", round(theirs / one)),
        _fact("plan1b, seconds", round(two, 2)),
        _fact("plan1b: reference, seconds (extrapolated)", round(theirs)),
    ]


def _ours(obs, scores, *, workers: int) -> float:  # noqa: ANN001 - as `embeddings` returns them
    classifier = {"alphas": {"logspace": [-4, 5, 20]}, "cv": {"folds": FOLDS, "repeats": REPEATS}}
    with sealed_study(obs, scores, classifier, workers=workers) as execute:
        return execute("plan1b", plan1b.run)[0]


def _theirs(obs, scores) -> float:  # noqa: ANN001 - as above
    """Return the seconds of one fold of every patient at every fourth alpha."""
    total = 0.0
    for name in sorted(set(obs["patient"])):
        mine = (obs["patient"] == name).to_numpy()
        y = (obs["label"] == "cancer").to_numpy()[mine]
        n_folds = feasible_folds(int(y.sum()), int((~y).sum()), FOLDS).n_folds
        total += fold_seconds(scores[mine], y, stratified_folds(y, n_folds, 0) == 0, ALPHAS[::THINNED])
    return total


def _fact(name: str, value: float) -> dict[str, object]:
    return {"name": name, "value": value, "goal": None, "holds": None}


if __name__ == "__main__":
    for row in main():
        print(row)
