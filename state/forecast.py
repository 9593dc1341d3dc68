"""What the next checkpoint is expected to take, and what it took: records of the ledger, so that a refusal can be told.

Numbers come from `stages.forecast`; here is only what the law of the machine has to know of them.
"""

from pydantic import JsonValue

from stagewright.state.records import Record
from stagewright.state.spec.goal import Checkpoint
from stagewright.state.units import format_bytes, format_seconds

__all__ = ["FittingChange", "Forecast", "ForecastMet", "ForecastPart"]


class ForecastPart(Record):
    """The units of one kind and method, or what a step takes beside its units.

    Attributes
    ----------
    exponent
        Of the cells, by which the cost of one unit grows.
    """

    step: str
    kind: str
    units: int
    runtime_s: float
    upper_s: float
    exponent: float


class FittingChange(Record):
    """An adjustment with which the checkpoint would fit the budget, and what it would take then, at most."""

    what: str
    adjustments: dict[str, JsonValue]
    runtime_upper_s: float
    memory_upper_bytes: int | None = None


class Forecast(Record):
    """What a checkpoint is expected to take, with an interval.

    Attributes
    ----------
    n_cells
        The cells that it is expected to look at.
    memory_bytes, memory_upper_bytes
        The highest peak of its steps; None where nothing is known of any.
    basis
        What it was made from, in words.
    unknown
        Steps that nothing like was measured for: they are not in the numbers.
    fits
        What would make it fit the budget, where it does not; the smallest change first.
    """

    checkpoint: Checkpoint
    n_cells: int
    runtime_s: float
    runtime_lower_s: float
    runtime_upper_s: float
    memory_bytes: int | None = None
    memory_upper_bytes: int | None = None
    parts: tuple[ForecastPart, ...] = ()
    basis: str = ""
    unknown: tuple[str, ...] = ()
    fits: tuple[FittingChange, ...] = ()

    def said(self) -> str:
        """Return the forecast as a sentence."""
        memory = ""
        if self.memory_bytes is not None and self.memory_upper_bytes is not None:
            memory = f", peak {format_bytes(self.memory_bytes)} (at most {format_bytes(self.memory_upper_bytes)})"
        unknown = f"; nothing is known of {', '.join(self.unknown)}" if self.unknown else ""
        return (
            f"checkpoint {self.checkpoint} on {self.n_cells} cells: {_short(self.runtime_s)} "
            f"({_short(self.runtime_lower_s)} to {_short(self.runtime_upper_s)}){memory}; {self.basis}{unknown}"
        )

    def beyond(self, left_s: float, memory_bytes: int) -> str | None:
        """Return what of a budget the upper bounds exceed; None when the checkpoint fits.

        Parameters
        ----------
        left_s
            Seconds that are left of the run's budget.
        memory_bytes
            The memory limit.
        """
        over = []
        if self.runtime_upper_s > left_s:
            over.append(
                f"run time: at most {_short(self.runtime_upper_s)}, {_short(max(0.0, left_s))} of the budget is left"
            )
        if self.memory_upper_bytes is not None and self.memory_upper_bytes > memory_bytes:
            over.append(
                f"memory: at most {format_bytes(self.memory_upper_bytes)}, {format_bytes(memory_bytes)} allowed"
            )
        return "; ".join(over) or None

    def remedies(self) -> str:
        """Return what `adjust` would make it fit, in words."""
        if not self.fits:
            return "no smaller grid, fewer cells or larger budget within the operator's caps was found that would fit"
        return "it would fit with " + ", or ".join(f"{item.what} ({item.adjustments})" for item in self.fits)


class ForecastMet(Record):
    """What a checkpoint was expected to take, and took."""

    checkpoint: Checkpoint
    runtime_s: float
    actual_runtime_s: float
    runtime_ratio: float
    memory_bytes: int | None = None
    actual_memory_bytes: int | None = None
    memory_ratio: float | None = None
    within: bool

    def said(self) -> str:
        """Return the comparison as a sentence."""
        memory = f", {self.memory_ratio:.2f} of its memory" if self.memory_ratio is not None else ""
        return (
            f"checkpoint {self.checkpoint} took {_short(self.actual_runtime_s)}, {self.runtime_ratio:.2f} of the "
            f"forecast{memory}; {'within' if self.within else 'beyond'} its upper bounds"
        )


def _short(seconds: float) -> str:
    return format_seconds(float(f"{seconds:.3g}"))
