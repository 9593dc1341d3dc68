"""Permuted labels keep their counts in each stratum, and depend on nothing else than they should."""

from collections import Counter
from itertools import combinations

import numpy as np
import pandas as pd

from stagewright.stages.negative_controls.permute_labels import Stratum, permute_labels, strata_of


def _obs(n: int = 400, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    generator = np.random.default_rng(seed)
    obs = pd.DataFrame(
        {"patient": generator.choice(["P1", "P2", "P3"], n), "time": generator.choice(["Dx", "MRD"], n)},
        index=[f"cell_{number}" for number in range(n)],
    )
    positive = generator.random(n) < np.where(obs["time"] == "Dx", 0.7, 0.2)
    positive[(obs["patient"] == "P3").to_numpy()] = False
    return obs, positive


def test_class_counts_of_every_stratum_stay() -> None:
    """Patient by time point: each has as many positive cells as before, and labels did move."""
    obs, positive = _obs()
    strata = strata_of(obs, ["patient", "time"], positive)
    assert [stratum.name for stratum in strata] == [f"{p} / {t}" for p in ("P1", "P2", "P3") for t in ("Dx", "MRD")]
    permuted = permute_labels(positive, strata, seed=3, number=1)
    keys = [obs["patient"], obs["time"]]
    before, after = (pd.Series(labels, index=obs.index).groupby(keys).sum() for labels in (positive, permuted))
    assert before.equals(after)
    assert 0.2 < (positive != permuted).mean() < 0.5


def test_a_stratum_with_one_class_stays_as_it_is() -> None:
    """It is not permutable, has one arrangement, and keeps its labels."""
    obs, positive = _obs()
    strata = strata_of(obs, ["patient"], positive)
    assert [(stratum.name, stratum.permutable) for stratum in strata] == [("P1", True), ("P2", True), ("P3", False)]
    assert strata[2].log10_arrangements == 0.0
    permuted = permute_labels(positive, strata, seed=0, number=1)
    assert not permuted[strata[2].rows].any()


def test_a_stratum_depends_on_itself_alone() -> None:
    """Without the other strata its labels are permuted alike; another permutation or seed gives others."""
    obs, positive = _obs()
    strata = strata_of(obs, ["patient"], positive)
    whole = permute_labels(positive, strata, seed=1, number=2)
    alone = permute_labels(positive, strata[1:2], seed=1, number=2)
    assert np.array_equal(whole[strata[1].rows], alone[strata[1].rows])
    for seed, number in ((1, 3), (2, 2)):
        other = permute_labels(positive, strata, seed=seed, number=number)
        assert not np.array_equal(whole, other)


def test_every_arrangement_is_as_likely() -> None:
    """Two positives among four cells: each of the six places comes up in 1,000 to 1,400 of 7,200 draws (6 sd: 190)."""
    positive = np.array([True, True, False, False])
    stratum = Stratum("P1", np.arange(4), 2)
    drawn = Counter(
        tuple(np.flatnonzero(permute_labels(positive, [stratum], seed=9, number=number))) for number in range(1, 7201)
    )
    assert set(drawn) == set(combinations(range(4), 2))
    assert all(1000 < count < 1400 for count in drawn.values())
    assert 10**stratum.log10_arrangements == np.float64(6).round(9) or np.isclose(10**stratum.log10_arrangements, 6)
