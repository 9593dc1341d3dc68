"""The search-wide permutation by simulation: its level on null cohorts, and its power with a planted effect."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from stagewright.stages.negative_controls.permute_labels import strata_of
from stagewright.stages.plan1_tables import PatientCells
from stagewright.stages.search_permutation.maxima import maxima
from stagewright.stages.search_permutation.search import labellings_of, score_labellings

COHORTS = 200
PERMUTATIONS = 39
N_PATIENTS, N_CELLS, N_AXES, N_CONFIGURATIONS = 3, 60, 5, 6
ALPHAS = np.logspace(-2, 3, 6)
LEVEL = 0.05


def _p(seed: int, effect: float) -> float:
    """Return p of one cohort: 6 embeddings, of which the first carries the effect; shares of classes differ by time."""
    generator = np.random.default_rng([int(1000 * effect), seed])
    patient = np.repeat(np.arange(N_PATIENTS), N_CELLS)
    time = generator.integers(0, 2, patient.size)
    positive = generator.random(patient.size) < np.where(time == 1, 0.5, 0.15)
    # What tells the time points apart is no effect of the label.
    embeddings = generator.normal(size=(N_CONFIGURATIONS, patient.size, N_AXES)) + time[:, np.newaxis]
    embeddings[0, positive, 0] += effect
    strata = strata_of(pd.DataFrame({"patient": patient, "time": time}), ["patient", "time"], positive)
    drawn = labellings_of(positive, strata, n=PERMUTATIONS, seed=seed)
    scores = {}
    for number, embedding in enumerate(embeddings):
        aucs = []
        for one in range(N_PATIENTS):
            rows = np.flatnonzero(patient == one)
            cells = PatientCells(f"P{one}", rows, positive[rows])
            aucs.append(
                score_labellings(embedding, cells, 3, drawn.stratum[rows], drawn.of(rows), ALPHAS, 1.0).astype(float)
            )
        scores["hvg", f"method_{number}", "l1"] = np.median(aucs, axis=0)
    return maxima(scores, {f"method_{number}": N_AXES for number in range(N_CONFIGURATIONS)}, [*ALPHAS]).p


@pytest.mark.slow
def test_null_cohorts_are_found_at_the_nominal_rate() -> None:
    """Of 200 cohorts whose label has no tie to the embeddings, about ten have p at most 0.05."""
    found = np.array([_p(seed, 0.0) for seed in range(COHORTS)])
    rejected = int((found <= LEVEL).sum())
    assert binom.ppf(0.005, COHORTS, LEVEL) <= rejected <= binom.ppf(0.995, COHORTS, LEVEL)
    assert abs(found.mean() - 0.5) < 0.08  # uniform: 0.5125, standard error 0.02


@pytest.mark.slow
def test_a_planted_effect_is_found() -> None:
    """1.5 standard deviations along one axis of one of six embeddings: at least 9 of 10 cohorts are found."""
    found = np.array([_p(seed, 1.5) for seed in range(40)])
    assert (found <= LEVEL).mean() >= 0.9


def test_a_strong_effect_is_found_in_one_cohort() -> None:
    """The smallest p that 39 permutations allow."""
    assert _p(0, 3.0) == 1 / (1 + PERMUTATIONS)
