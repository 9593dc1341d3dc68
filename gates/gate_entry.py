"""What the catalogue says about one gate. Light to import."""

from dataclasses import dataclass
from importlib import import_module
from typing import Literal, cast

from stagewright.gates.protocol import Gate

__all__ = ["Bound", "GateEntry"]


@dataclass(frozen=True, slots=True)
class Bound:
    """A threshold that the spec may set.

    Attributes
    ----------
    name
        ``at_least`` or ``at_most``.
    default
        What holds when the spec says nothing.
    lowest, highest
        What the spec may set it to, both included.
    of
        The quantity that is compared with it.
    reason
        Why the default is what it is.
    """

    name: Literal["at_least", "at_most"]
    default: float
    lowest: float
    highest: float
    of: str
    reason: str


@dataclass(frozen=True, slots=True)
class GateEntry:
    """One gate.

    Attributes
    ----------
    stages
        The stages it judges; empty for every stage, commands of the operator included.
    """

    name: str
    module: str
    purpose: str
    stages: tuple[str, ...] = ()
    bounds: tuple[Bound, ...] = ()

    def load(self) -> Gate:
        """Import the gate; its function has the gate's name."""
        return cast("Gate", getattr(import_module(self.module), self.name))

    def default(self, bound: str) -> float:
        """Return the default of one of the gate's bounds.

        Raises
        ------
        KeyError
            When the gate has no such bound.
        """
        return {str(entry.name): entry.default for entry in self.bounds}[bound]
