"""The chance interval against simulation, and the AUC within strata against scikit-learn."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from stagewright.stages.negative_controls.chance import chance_interval
from stagewright.stages.negative_controls.summary import Best, empirical_p
from stagewright.stages.negative_controls.within_strata import within_strata


def test_the_interval_holds_what_chance_gives() -> None:
    """Medians over patients of AUCs of random scores: at most 1.5 % outside, and not 1.3 times too wide."""
    generator = np.random.default_rng(1)
    sizes = [(12, 30), (25, 25), (40, 9), (8, 60), (30, 50), (15, 15), (22, 70)]
    chance = chance_interval({str(number): [size] for number, size in enumerate(sizes)}, 1)
    medians = []
    for _ in range(1500):
        aucs = []
        for positive, negative in sizes:
            ranks = generator.permutation(positive + negative)[:positive] + 1
            aucs.append((ranks.sum() - positive * (positive + 1) / 2) / (positive * negative))
        medians.append(np.median(aucs))
    outside = np.mean((np.array(medians) < chance.low) | (np.array(medians) > chance.high))
    assert outside < 0.015
    assert (chance.high - 0.5) < 1.3 * 2.576 * np.std(medians)
    assert chance.low + chance.high == pytest.approx(1.0)


def test_more_configurations_widen_the_interval() -> None:
    """Bonferroni: one of twenty lies outside less often."""
    patients = {"P1": [(20, 20)]}
    assert chance_interval(patients, 20).high > chance_interval(patients, 1).high > 0.5


def test_auc_within_strata_is_that_of_scikit_learn(tmp_path: Path) -> None:
    """Weighted by pairs; a score that only tells the strata apart is at 0.5 within and far above over all cells."""
    generator = np.random.default_rng(4)
    stratum = np.repeat([0, 1, 2], [40, 50, 10])
    label = generator.random(100) < np.array([0.1, 0.8, 0.0])[stratum]
    cells = [f"cell_{number}" for number in generator.permutation(100)]
    knows_stratum = np.where(stratum == 1, 1.0, 0.0)
    decisions = np.stack([generator.normal(size=100) + label, knows_stratum])
    table = pd.concat(
        [
            pd.DataFrame(
                {
                    "patient": "P1",
                    "cell": cells,
                    "penalty": penalty,
                    "repeat": 0,
                    "label": label,
                    "decision": decision,
                }
            )
            for penalty, decision in zip(("l1", "l2"), decisions, strict=True)
        ]
    )
    table.sample(frac=1, random_state=0).to_parquet(tmp_path / "oof.parquet")
    found = within_strata(tmp_path / "oof.parquet", pd.Series(stratum, index=cells))
    parts = [(roc_auc_score(label[here], decisions[0][here]), label[here]) for here in (stratum == 0, stratum == 1)]
    pairs = [part.sum() * (~part).sum() for _, part in parts]
    expected = sum(auc * n for (auc, _), n in zip(parts, pairs, strict=True)) / sum(pairs)
    assert found["l1"].auc["P1"] == pytest.approx(expected, abs=1e-12)
    assert found["l1"].counts["P1"] == tuple((int(part.sum()), int((~part).sum())) for _, part in parts)
    assert found["l2"].median == 0.5
    assert roc_auc_score(label, knows_stratum) > 0.8


def test_the_p_value_counts_the_observed_labelling() -> None:
    """Never 0: with n permutations at least 1 / (1 + n); ties count against the observed score."""
    assert empirical_p(0.9, [0.5] * 99) == 0.01
    assert empirical_p(0.5, [0.5, 0.4, 0.6]) == 0.75
    assert Best(0.8, (0.5, 0.6, 0.85)).p == 0.5
    assert Best(0.8, (0.5, 0.6)).excess == pytest.approx(0.2)
