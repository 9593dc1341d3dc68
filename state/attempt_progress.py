"""How an attempt is getting on: `progress.json`, written by its worker and read by whoever waits."""

from pydantic import Field

from stagewright.state.records import Record
from stagewright.state.units import format_seconds

__all__ = ["AttemptProgress", "UnitAtWork"]

UNKNOWN_UNIT_S = 60.0
"""Taken for the length of a unit while nothing is known of any: only how fast a display creeps depends on it."""
NAMED = 3


class UnitAtWork(Record):
    """One unit under way.

    Attributes
    ----------
    since
        When it began, in seconds since 1970.
    parts_done, parts
        Of a unit that consists of parts, such as patients; both 0 for others.
    """

    name: str
    since: float
    parts_done: int = 0
    parts: int = 0

    def elapsed_s(self, now: float) -> float:
        """Return for how long it has been at work, in seconds."""
        return max(0.0, now - self.since)

    def share(self, now: float, unit_s: float | None) -> float:
        """Return which share of it is done, in [0, 1): by its parts, else as a guess by the length of other units."""
        usual_s = unit_s or UNKNOWN_UNIT_S
        elapsed_s = self.elapsed_s(now)
        if not self.parts:
            return elapsed_s / (elapsed_s + usual_s)
        # Between two parts it creeps on, by less than a part.
        creep = elapsed_s / (elapsed_s + usual_s) if self.parts_done < self.parts else 0.0
        return min(0.999, (self.parts_done + creep) / self.parts)

    def length_s(self, now: float) -> float | None:
        """Return how long it will have taken, by the parts that are done; None when that is unknown."""
        if not self.parts_done:
            return None
        return self.elapsed_s(now) * self.parts / self.parts_done

    def said(self, now: float) -> str:
        """Return the unit with what is known of it, e.g. ``hvg_3000/pca/cv (5 of 12 parts, 8s)``."""
        parts = f"{self.parts_done} of {self.parts} parts, " if self.parts else ""
        return f"{self.name} ({parts}{_said(self.elapsed_s(now))})"


class AttemptProgress(Record):
    """Units of an attempt.

    Attributes
    ----------
    at
        When this was written.
    done, failed, total
        Units done, given up as the spec allows, and of how many, as far as that is known.
    unit
        The unit that began last among those at work.
    at_work
        The units at work, the oldest first.
    unit_s
        Mean length of the units that ran to their end, in seconds; None while there is none.
    side_by_side
        The most units that were at work at once.
    n_cells, n_genes, n_nonzero
        How much data the stage has at hand.
    """

    at: str
    done: int = 0
    failed: int = 0
    total: int = 0
    unit: str | None = None
    at_work: tuple[UnitAtWork, ...] = ()
    unit_s: float | None = None
    side_by_side: int = Field(default=1, ge=1)
    n_cells: int | None = None
    n_genes: int | None = None
    n_nonzero: int | None = None

    def units_done(self, now: float) -> float:
        """Return the units done, with the shares of those at work."""
        shares = sum(unit.share(now, self.unit_s) for unit in self.at_work)
        return min(self.done + self.failed + shares, float(self.total))

    def left_s(self, now: float) -> float | None:
        """Return about how long the rest will take, in seconds; None while no unit says how long one takes.

        Units are taken to be of one length. The longest run first, so this tends to be too much.
        """
        lengths = [length for unit in self.at_work if (length := unit.length_s(now)) is not None]
        usual_s = max(lengths) if lengths and self.unit_s is None else self.unit_s
        if usual_s is None:
            return None
        of_these = [max(0.0, (unit.length_s(now) or usual_s) - unit.elapsed_s(now)) for unit in self.at_work]
        waiting = max(0, self.total - self.done - self.failed - len(self.at_work))
        return max([*of_these, (sum(of_these) + waiting * usual_s) / self.side_by_side])

    def named(self, now: float) -> list[str]:
        """Return the units at work with what is known of each, the newest first; only the first few."""
        more = len(self.at_work) - NAMED
        return [unit.said(now) for unit in self.at_work[-NAMED:][::-1]] + ([f"{more} more"] if more > 0 else [])

    def said(self, now: float) -> str:
        """Return the progress in a line, e.g. ``3 of 18 units done, at work: fa/k_60 (12s); about 1min left``."""
        at_work = f", at work: {', '.join(self.named(now))}" if self.at_work else ""
        left_s = self.left_s(now)
        left = f"; about {_said(left_s)} left" if left_s else ""
        return f"{self.done} of {self.total} units done{at_work}{left}"


def _said(seconds: float) -> str:
    """Return a duration in words, without digits that nobody needs.

    >>> [_said(seconds) for seconds in (0.3, 44.7, 103.0, 3725.0)]
    ['0s', '45s', '1min40s', '1h2min']
    """
    whole = round(seconds)
    if whole < 60:  # noqa: PLR2004 - seconds
        return f"{whole}s"
    return format_seconds(round(whole, -1) if whole < 600 else round(whole / 60) * 60)  # noqa: PLR2004 - seconds
