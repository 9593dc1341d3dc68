"""The null twin of Plan 1C by simulation: false alarms of models of several patients, and genes chosen by the label."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from stagewright.gates.chance import upper_end
from stagewright.gates.null_twin import FAIL_LEVEL, SPREAD, WARN_LEVEL
from stagewright.stages.cohort.depth import Depth
from stagewright.stages.executors.local import LocalExecutor
from stagewright.stages.negative_controls.benchmark_twin import patient_aucs
from stagewright.stages.plan1_embeddings import EmbeddedCohort
from stagewright.stages.plan1c_cell import scored_models
from stagewright.state.spec import Adjustments, effective_study, parse_spec
from stagewright.state.step_units import twin_study

COHORTS = 60
MODES = ("pooled", "grouped", "per_patient")
EVEN = [(60, 14), (60, 22), (60, 9), (60, 28), (60, 17), (60, 11), (60, 20), (60, 25)]
ONE_LARGE = [(240, 90), (30, 2), (30, 4), (30, 3)]
"""Cells and positive cells of each patient."""


def _twin(x: np.ndarray, donor: np.ndarray, y: np.ndarray, modes: tuple[str, ...], penalty: str) -> dict[str, float]:
    """Return by how much the twin of each mode lies above 0.5, in units of the distance at which the gate warns."""
    obs = pd.DataFrame({"patient": [f"P{number:02d}" for number in donor]}, index=[f"c{row}" for row in range(y.size)])
    depth = Depth(np.ones(y.size), np.ones(y.size, dtype=np.int64))
    cohort = EmbeddedCohort("noise", supervised=False, obs=obs, positive=y, scores={"pca": x}, depth=depth)
    spec = parse_spec(
        {
            "objective": "test",
            "data": {
                "path": "cohort.h5ad",
                "patient": "patient",
                "label": {"column": "label", "positive": "cancer", "negative": "normal"},
            },
            "classifier": {"modes": list(modes), "penalties": [penalty], "alphas": {"logspace": [-3, 4, 9]}},
        }
    )
    executor = LocalExecutor(1, Path("unused"))
    context = SimpleNamespace(
        executor=executor,
        map=lambda function, items, **_: [function(item) for item in items],
        request=SimpleNamespace(scope=spec.data, workers=1),
    )
    study = twin_study(effective_study(spec, Adjustments(), "C"), "plan1c")
    above: dict[str, float] = {}
    for scored in scored_models(cast("Any", context), cohort, "pca", study).scored:
        aucs = patient_aucs(scored, donor)
        counts = [(int((donor == number).sum()), int(y[donor == number].sum())) for number in np.unique(donor)]
        sds = [
            math.sqrt((n + 1) / (12 * positive * (n - positive)))
            for number, (n, positive) in enumerate(counts)
            if f"P{number:02d}" in aucs
        ]
        distance = upper_end(sds, 1, WARN_LEVEL, SPREAD) - 0.5
        above[scored.model.mode] = (float(np.median([*aucs.values()])) - 0.5) / distance
    return above


def _cells(generator: np.random.Generator, sizes: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Return the donor and the label of each cell, permuted within donors."""
    y = np.concatenate([generator.permutation(n) < positive for n, positive in sizes])
    return np.repeat(np.arange(len(sizes)), [n for n, _ in sizes]), y


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sizes", "k", "offset", "penalty"),
    [
        (EVEN[:2], 5, 0.0, "l2"),
        (EVEN[:3], 1, 0.0, "l2"),
        (EVEN, 12, 2.0, "l1"),
        (EVEN, 20, 0.0, "l2"),
        (ONE_LARGE, 5, 0.0, "l2"),
    ],
)
def test_null_cohorts_lie_below_the_interval(sizes: list[tuple[int, int]], k: int, offset: float, penalty: str) -> None:
    """In every mode at most as many as half a percent allows lie above the end at which the gate warns.

    Patients of one size or of several, told apart by the features (`offset`) or not. None lies where the gate fails.
    """
    generator = np.random.default_rng([len(sizes), k])
    found: dict[str, list[float]] = {mode: [] for mode in MODES}
    for _ in range(COHORTS):
        donor, y = _cells(generator, sizes)
        x = generator.normal(size=(y.size, k)) * np.geomspace(3.0, 0.5, k)
        x += offset * generator.normal(size=(len(sizes), k))[donor]
        for mode, above in _twin(x.astype(np.float32), donor, y, MODES, penalty).items():
            found[mode].append(above)
    ends = [upper_end([0.02] * len(sizes), 1, level, SPREAD) - 0.5 for level in (FAIL_LEVEL, WARN_LEVEL)]
    for mode, values in found.items():
        assert len(values) == COHORTS, mode
        assert (np.array(values) > 1.0).sum() <= binom.ppf(0.999, COHORTS, WARN_LEVEL / 2), mode
        assert max(values) < ends[0] / ends[1], mode
        assert abs(np.median(values)) < 0.25, mode


def test_features_that_the_permuted_label_chose_are_caught_in_every_mode() -> None:
    """Of 3,000 features without any tie to the label, the 15 that it chose on all cells, those left out among them.

    Trained on all patients they fail; within patients of 60 cells each they are warned of.
    """
    generator = np.random.default_rng(8)
    donor, y = _cells(generator, EVEN)
    x = generator.normal(size=(y.size, 3000))
    honest = _twin(x[:, :15].astype(np.float32), donor, y, MODES, "l2")
    apart = np.abs(x[y].mean(axis=0) - x[~y].mean(axis=0))
    chosen = _twin(x[:, np.argsort(apart)[-15:]].astype(np.float32), donor, y, MODES, "l2")
    ends = [upper_end([0.02] * len(EVEN), 1, level, SPREAD) - 0.5 for level in (FAIL_LEVEL, WARN_LEVEL)]
    for mode in MODES:
        assert honest[mode] < 1.0, mode
        assert chosen[mode] > (1.0 if mode == "per_patient" else ends[0] / ends[1]), mode
