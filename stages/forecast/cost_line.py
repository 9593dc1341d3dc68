"""How the cost of a kind of unit grows with the cells: a straight line between the logarithms, and what it may miss.

Two numbers of cells that differ enough give the exponent; from one, or from two that lie close, it is taken as 1. On
few cells a unit's fixed cost hides its growth, and on many its growth may be steeper than what was seen: the interval
reaches from the exponent that was measured to 1, whichever way that is, times a factor.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

__all__ = ["CostLine", "cost_line"]

APART = 1.5
"""Numbers of cells with a smaller ratio say nothing about the growth: timings differ by as much by chance."""
STEEPEST = 2.0
"""No fit, path or table here grows faster than with the square of the cells."""
ONE, TWO, MANY = 3.0, 2.0, 1.5
"""The prior factors of the interval. From one number of cells neither growth nor the share of what is fixed is known;
from two the growth is, and not by how much a line misses. Measured twice on a busy machine, units differ by half."""


@dataclass(frozen=True, slots=True)
class CostLine:
    """Seconds for a unit of work at any number of cells.

    Attributes
    ----------
    at_cells, seconds
        Where it is anchored: the newest measurement.
    factor
        By how much a cost may lie off the line either way.
    steepest
        The exponent to which the interval reaches.
    """

    at_cells: int
    seconds: float
    exponent: float
    factor: float
    steepest: float = 1.0

    def costs(self, n_cells: int) -> tuple[float, float, float]:
        """Return the lower bound, the cost and the upper bound at a number of cells."""
        ratio = max(1, n_cells) / max(1, self.at_cells)
        costs = [self.seconds * ratio**exponent for exponent in (self.exponent, self.steepest)]
        return min(costs) / self.factor, costs[0], max(costs) * self.factor


def cost_line(
    points: Sequence[tuple[int, float]], *, alone: float = 1.0, steepest: float = 1.0, widest: float = ONE
) -> CostLine:
    """Return the line through measurements, oldest first.

    Parameters
    ----------
    points
        Cells, and seconds for a unit of work; at least one.
    alone
        The exponent where the measurements do not give one.
    steepest
        The exponent to which the interval reaches.
    widest
        The largest factor.

    >>> round(cost_line([(1000, 1.0), (4000, 4.0)]).exponent, 6)
    1.0
    >>> [round(cost, 6) for cost in cost_line([(1000, 1.0)]).costs(2000)]
    [0.666667, 2.0, 6.0]
    """
    logs = [(math.log(max(1, n_cells)), math.log(max(1e-12, seconds))) for n_cells, seconds in points]
    cells = [x for x, _ in logs]
    slope, factor = alone, ONE
    if max(cells) - min(cells) >= math.log(APART):
        x_mean, y_mean = fmean(cells), fmean(y for _, y in logs)
        slope = sum((x - x_mean) * (y - y_mean) for x, y in logs) / sum((x - x_mean) ** 2 for x in cells)
        slope = min(STEEPEST, max(0.0, slope))
        factor = TWO
        if len(points) > 2:  # noqa: PLR2004 - a line through two points misses neither
            squares = sum((y - y_mean - slope * (x - x_mean)) ** 2 for x, y in logs)
            missed = math.sqrt(squares / (len(points) - 2))
            factor = max(MANY, math.exp(2 * math.sqrt(2) * missed))  # both the anchor and what comes lie off the line
    n_cells, seconds = points[-1]
    return CostLine(n_cells, max(1e-12, seconds), slope, min(widest, factor), steepest)
