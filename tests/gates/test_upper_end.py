"""The upper end of chance: against the formula for equal patients, and against draws where patients differ in size."""

import math

import numpy as np
import pytest

from stagewright.gates.chance import upper_end


@pytest.mark.parametrize(("n", "expected"), [(1, 1.0), (2, math.sqrt(0.5)), (5, math.sqrt(math.pi / 10))])
def test_the_upper_end_is_that_of_a_normal_median(n: int, expected: float) -> None:
    """2.5758 standard deviations at 1 %: of the mean of one or two, else of the median; never above 1."""
    assert upper_end([0.01] * n, 1, 0.01) == pytest.approx(0.5 + 2.575829 * 0.01 * expected)
    assert upper_end([0.01] * n, 10, 0.01) > upper_end([0.01] * n, 1, 0.01)
    assert upper_end([1.0], 1, 0.01) == 1.0


@pytest.mark.parametrize(
    "sds",
    [[0.02, 0.1, 0.1], [0.02, 0.1, 0.1, 0.1], [0.01, 0.02, 0.1, 0.1, 0.12], [0.02] * 4, [0.02] * 7, [0.01, 0.1] * 8],
    ids=str,
)
def test_patients_of_several_sizes_seldom_lie_above_the_end(sds: list[float]) -> None:
    """Of drawn medians at most half a percent lie above that of the 99 % interval, and few fewer than a fifth of it."""
    drawn = np.median(np.random.default_rng(4).normal(size=(200_000, len(sds))) * sds, axis=1)
    above = float((drawn > upper_end(sds, 1, 0.01) - 0.5).mean())
    assert 0.001 < above < 0.0056
