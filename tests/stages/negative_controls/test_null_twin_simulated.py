"""The null twin by simulation: false alarms on null cohorts, and the classic leak of donor-level labels."""

# Tables and libraries without types: what is read from them is compared, not computed with.
# pyright: reportArgumentType=false

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from stagewright.gates.chance import upper_end
from stagewright.gates.null_twin import FAIL_LEVEL, SPREAD, WARN_LEVEL
from stagewright.stages.classify.folds import repeated_stratified_folds
from stagewright.stages.classify.metrics import roc_auc
from stagewright.stages.classify.out_of_fold import out_of_fold
from stagewright.stages.classify.stratum_folds import repeated_stratum_folds
from stagewright.stages.cohort.depth import Depth
from stagewright.stages.negative_controls.auc_within import auc_within
from stagewright.stages.negative_controls.null_twin import chosen_by_others, out_of_fold_once
from stagewright.stages.plan1_embeddings import EmbeddedCohort
from stagewright.stages.plan1_tables import PatientCells
from stagewright.stages.plan1c_parts import split
from stagewright.state.spec import Adjustments, effective_study, parse_spec

ALPHAS = np.logspace(-2, 3, 8)
COHORTS = 200


def _twin(generator: np.random.Generator, n_patients: int, n_cells: int, k: int, l1_ratio: float) -> float:
    """Return by how many standard deviations of the interval a twin of a null cohort lies above 0.5."""
    aucs, sds = [], []
    for number in range(n_patients):
        n_positive = int(generator.integers(8, n_cells // 2))
        y = generator.permutation(n_cells) < n_positive
        x = generator.normal(size=(n_cells, k)) * np.geomspace(3.0, 0.5, k)
        patient = PatientCells(f"P{number}", np.arange(n_cells), y)
        folds = repeated_stratified_folds(y, 5, 1, patient.seed)[0]
        decision = out_of_fold_once(x, patient, folds, ALPHAS, l1_ratio)
        aucs.append(auc_within(decision, y, np.zeros(n_cells, dtype=np.int64)))
        sds.append(math.sqrt((n_cells + 1) / (12 * n_positive * (n_cells - n_positive))))
    chosen = chosen_by_others(aucs, ALPHAS)
    median = float(np.median([auc[at] for auc, at in zip(aucs, chosen, strict=True)]))
    return (median - 0.5) / (upper_end(sds, 1, WARN_LEVEL, SPREAD) - 0.5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n_patients", "n_cells", "k", "l1_ratio"), [(2, 60, 5, 1.0), (4, 60, 20, 1.0), (8, 60, 12, 0.0), (8, 80, 12, 1.0)]
)
def test_null_cohorts_lie_below_the_interval(n_patients: int, n_cells: int, k: int, l1_ratio: float) -> None:
    """At most as many as half a percent allows lie above the end at which the gate warns; none where it fails."""
    generator = np.random.default_rng([n_patients, k])
    found = np.array([_twin(generator, n_patients, n_cells, k, l1_ratio) for _ in range(COHORTS)])
    assert (found > 1.0).sum() <= binom.ppf(0.999, COHORTS, WARN_LEVEL / 2)
    ends = [upper_end([0.05] * n_patients, 1, level, SPREAD) - 0.5 for level in (FAIL_LEVEL, WARN_LEVEL)]
    assert found.max() < ends[0] / ends[1]
    assert abs(np.median(found)) < 0.2


def _donor_cohort() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return features that tell donors apart and nothing else, the donor of each cell, and one label for each donor."""
    generator = np.random.default_rng(3)
    donor = np.repeat(np.arange(12), 40)
    x = generator.normal(size=(12, 15))[donor] * 3.0 + generator.normal(size=(donor.size, 15))
    return x, donor, (generator.permutation(12) < 6)[donor]


def test_donor_level_labels_are_told_by_the_donor_however_they_are_permuted() -> None:
    """Pooled folds of cells: labels permuted between donors score far above chance, as they do for any labels."""
    x, donor, _ = _donor_cohort()
    y = (np.random.default_rng(4).permutation(12) < 6)[donor]
    folds = repeated_stratum_folds(y, donor, 5, 1, 0)
    (found,) = out_of_fold(x, y, folds, ALPHAS[:4], [1.0])
    sd = math.sqrt((y.size + 1) / (12 * int(y.sum()) * int((~y).sum())))
    assert float(np.median(roc_auc(found.decision[0], y))) > upper_end([sd], 1, FAIL_LEVEL, SPREAD)


def test_plan1c_scores_no_patient_with_one_label() -> None:
    """What catches donor-level labels in a run: scores are by patient, and a patient with one class has none."""
    x, donor, y = _donor_cohort()
    names = pd.Series([f"D{number:02d}" for number in donor])
    obs = pd.DataFrame({"patient": names, "label": np.where(y, "cancer", "normal")})
    depth = Depth(np.ones(y.size), np.ones(y.size, dtype=np.int64))
    cohort = EmbeddedCohort("hvg_3000", supervised=False, obs=obs, positive=y, scores={"pca": x}, depth=depth)
    spec = parse_spec(
        {
            "objective": "test",
            "data": {
                "path": "cohort.h5ad",
                "patient": "patient",
                "label": {"column": "label", "positive": "cancer", "negative": "normal"},
            },
        }
    )
    for mode in ("pooled", "grouped", "per_patient"):
        parts = split(cohort, effective_study(spec, Adjustments(), "C"), "patient", mode, "hvg_3000/pca")
        assert parts.parts == ()
        assert len(parts.skipped) == 12
