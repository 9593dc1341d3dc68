"""What the catalogue says about one fault. Light to import."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Literal, TypeAlias, cast

__all__ = ["DoesNotApply", "FaultEntry", "Spoil"]

Spoil: TypeAlias = Callable[..., object]
"""Spoils one copy, its only argument; a `SpoiledStep`, which this module does not import because that loads pandas."""


class DoesNotApply(Exception):  # noqa: N818 - names the state of the step, as Refusal names the reply
    """The step has nothing that the fault could spoil; the text says what is missing."""


@dataclass(frozen=True, slots=True)
class FaultEntry:
    """One fault.

    Attributes
    ----------
    name
        What is wrong, in the words of a person who would report it.
    gate
        The gate that has to fire.
    function
        ``module.function`` below `gates.proving.faults`.
    stages
        The stages in which it is tried, each of them. Empty: any stage has it, commands of the operator included,
        and it is tried in the first step that it applies to.
    severity
        What the gate has to make of it at least.
    sealed
        Whether the spoilt files are sealed again, as if the stage had written them so. Otherwise they changed after
        the seal.
    """

    name: str
    gate: str
    function: str
    stages: tuple[str, ...] = ()
    severity: Literal["warn", "fail"] = "fail"
    sealed: bool = True

    def load(self) -> Spoil:
        """Import the function that makes the fault."""
        module, _, name = self.function.rpartition(".")
        found = getattr(import_module(f"stagewright.gates.proving.faults.{module}"), name)
        return cast("Spoil", found)
