"""The cost of a kind of unit by cells: exponents that are known by construction, and intervals that hold them."""

import math

import numpy as np
import pytest

from stagewright.stages.forecast.cost_line import cost_line


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0, 1.7])
def test_two_sizes_give_the_exponent(exponent: float) -> None:
    """A cost that is a power of the cells is found again, and told at other sizes."""
    line = cost_line([(n, 0.01 * n**exponent) for n in (500, 5000)])
    assert line.exponent == pytest.approx(exponent)
    lower, cost, upper = line.costs(50_000)
    assert cost == pytest.approx(0.01 * 50_000**exponent)
    assert lower < cost < upper


def test_one_size_is_taken_as_linear_with_a_wide_interval() -> None:
    """Nor do two sizes that lie close say how a cost grows."""
    for points in ([(1000, 2.0)], [(1000, 2.0), (1200, 0.1), (1000, 2.0)]):
        line = cost_line(points)
        assert (line.exponent, line.factor) == (1.0, 3.0)
        assert line.costs(4000) == pytest.approx((8 / 3, 8.0, 24.0))


def test_a_fixed_cost_is_not_taken_for_no_growth() -> None:
    """On few cells a unit costs its start; the upper bound holds for many cells all the same."""
    points = [(n, 1.0 + 0.001 * n) for n in (100, 1000)]
    lower, cost, upper = cost_line(points).costs(100_000)
    assert cost < 101 < upper
    assert lower < 101


def test_more_sizes_give_the_interval_by_what_the_line_misses() -> None:
    """Of costs that scatter about their line, the interval holds nearly all; without scatter it is the least."""
    exact = cost_line([(n, n**1.2) for n in (100, 1000, 10_000)])
    assert exact.factor == 1.5
    draw = np.random.default_rng(0)
    within = 0
    for _ in range(200):
        points = [(n, 0.01 * n * math.exp(draw.normal(0, 0.3))) for n in (100, 300, 1000, 3000, 10_000)]
        lower, _, upper = cost_line(points).costs(20_000)
        within += lower <= 200.0 * math.exp(draw.normal(0, 0.3)) <= upper
    assert within >= 180
