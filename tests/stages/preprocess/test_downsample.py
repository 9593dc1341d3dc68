"""Downsampling of the abundant cells: the counts that the policy asks for, from cells that are really there."""

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from stagewright.stages.preprocess.downsample import abundant_cells, downsample
from stagewright.state.spec.downsampling import Downsampling, NoDownsampling, RandomDownsampling

RANDOM = RandomDownsampling(method="random")


def _cells(donor: dict[str, int], n_recipient: int, n_malignant: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Abundance, cell type and label of donor cells by type, then recipient cells of which the first are malignant."""
    types = [name for name, number in donor.items() for _ in range(number)]
    n_donor = len(types)
    abundant = np.arange(n_donor + n_recipient) < n_donor
    strata = np.array(types + ["blast"] * n_recipient)
    positive = np.zeros(n_donor + n_recipient, dtype=bool)
    positive[n_donor : n_donor + n_malignant] = True
    return abundant, strata, positive


def _rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.mark.parametrize(
    ("donor", "n_recipient", "n_malignant", "expected", "passes"),
    [
        # Ratio exactly 10: all stay.
        ({"T": 700, "B": 300}, 100, 50, {"T": 700, "B": 300}, 1),
        # 4,000 to 100: a quarter of each type, and at least 20 of the small ones, all 12 of the smallest.
        ({"T": 3000, "B": 928, "NK": 60, "DC": 12}, 100, 50, {"T": 750, "B": 232, "NK": 20, "DC": 12}, 1),
        # 9 malignant cells: at least 5 of each type instead of 20, and a ratio of 10 is not above 20.
        ({"T": 3000, "B": 928, "NK": 60, "DC": 12}, 100, 9, {"T": 750, "B": 232, "NK": 15, "DC": 5}, 1),
        # 40 types of 30 cells for 4 others: at least 5 of each leaves 50 to 1, so the second pass, with the same least.
        ({f"t{number:02d}": 30 for number in range(40)}, 4, 2, {f"t{number:02d}": 5 for number in range(40)}, 2),
        # One malignant cell: the policy for few does not hold, 20 of each type stay whatever the ratio.
        ({f"t{number:02d}": 30 for number in range(40)}, 4, 1, {f"t{number:02d}": 20 for number in range(40)}, 1),
    ],
)
def test_the_counts_are_those_of_the_policy(
    donor: dict[str, int], n_recipient: int, n_malignant: int, expected: dict[str, int], passes: int
) -> None:
    """Against counts worked out by hand from the thresholds; the other cells all stay, no cell is drawn twice."""
    abundant, strata, positive = _cells(donor, n_recipient, n_malignant)
    found = downsample(RANDOM, abundant, strata, positive, _rng())
    kept = found.kept
    assert len(np.unique(kept)) == len(kept)
    assert np.all(np.diff(kept) > 0)
    assert np.count_nonzero(~abundant[kept]) == n_recipient
    by_type = {name: int(np.count_nonzero(abundant[kept] & (strata[kept] == name))) for name in donor}
    assert by_type == expected
    assert found.log["passes"] == passes
    assert found.log["by_stratum"] == {name: {"before": donor[name], "after": expected[name]} for name in sorted(donor)}
    assert found.log["n_cells_before"] == len(positive)
    assert found.log["n_cells_after"] == len(kept)


def test_a_second_pass_draws_down_to_its_own_ratio() -> None:
    """A severe ratio that the first pass leaves, of a bound of 30, is brought to 5 with few malignant cells."""
    settings = RandomDownsampling(method="random", ratio_threshold=30)
    abundant, strata, positive = _cells({"T": 4000}, 100, 5)
    found = downsample(settings, abundant, strata, positive, _rng())
    assert (found.log["ratio_before"], found.log["ratio_after_first_pass"], found.log["ratio_after"]) == (40, 30, 5)
    first_only = downsample(settings.model_copy(update={"few_malignant": 2}), abundant, strata, positive, _rng())
    assert set(found.kept) <= set(first_only.kept)  # what the second pass keeps is a part of the first


def test_draws_are_reproducible_and_uniform() -> None:
    """The same generator gives the same cells, another one others; over many draws each cell is as likely to stay."""
    abundant, strata, positive = _cells({"T": 400}, 20, 15)
    first, again = (downsample(RANDOM, abundant, strata, positive, _rng()).kept for _ in range(2))
    np.testing.assert_array_equal(first, again)
    times = np.zeros(len(positive))
    for seed in range(400):
        times[downsample(RANDOM, abundant, strata, positive, np.random.default_rng(seed)).kept] += 1
    share = times[abundant] / 400
    assert share.mean() == pytest.approx(0.5)
    assert np.all(np.abs(share - 0.5) < 5 * 0.5 / 20)  # five standard errors of a share of 400


def test_without_abundant_or_without_other_cells() -> None:
    """Nothing is drawn of nothing; without other cells there is no ratio, and the stated share stays."""
    none = np.zeros(30, dtype=bool)
    strata = np.full(30, "T")
    assert len(downsample(RANDOM, none, strata, none, _rng()).kept) == 30
    alone = downsample(RANDOM, ~none, strata, none, _rng())
    assert (alone.log["scenario"], len(alone.kept), alone.log["ratio_after"]) == ("no_other_cells", 21, None)
    kept = downsample(NoDownsampling(method="none"), ~none, strata, none, _rng()).kept
    np.testing.assert_array_equal(kept, np.arange(30))


def test_which_cells_are_abundant_is_told_and_never_guessed() -> None:
    """With a source column its level counts, never for malignant cells; without one the negative class."""
    positive = np.array([True, False, False, True])
    columns = {"source": np.array(["donor", "donor", "recipient", "recipient"]), "cell_type": np.array(list("abab"))}
    found = abundant_cells(RANDOM, columns, positive)
    assert found.mask.tolist() == [False, True, False, False]
    assert found.log["n_positive_with_that_source"] == 1
    assert found.strata.tolist() == ["a", "b", "a", "b"]
    plain = abundant_cells(RANDOM, {}, positive)
    assert plain.mask.tolist() == [False, True, True, False]
    assert "declares no 'source'" in str(plain.log["abundant"])
    assert "declares no 'cell_type'" in str(plain.log["strata"])
    with pytest.raises(
        ValueError, match=r"no cell has 'host' in the column of data\.columns\.source; it has donor, rec"
    ):
        abundant_cells(RANDOM.model_copy(update={"source_level": "host"}), columns, positive)
    with pytest.raises(ValueError, match="never drawn away"):
        downsample(RANDOM, np.ones(4, dtype=bool), columns["cell_type"], positive, _rng())


def test_variants_are_written_as_words_or_mappings_and_named() -> None:
    """A list of variants parses, survives JSON, and each has a name that tells it from the others."""
    read: TypeAdapter[tuple[Downsampling, ...]] = TypeAdapter(tuple[Downsampling, ...])
    variants = read.validate_python(["none", "random", {"method": "random", "ratio_threshold": 12.5}])
    assert [entry.tag for entry in variants] == ["none", "random", "random_ratio_threshold_12p5"]
    assert read.validate_json(read.dump_json(variants)) == variants
    with pytest.raises(ValidationError, match="the second pass draws fewer cells"):
        RandomDownsampling(method="random", ratio_threshold=4)
