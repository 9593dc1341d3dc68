"""What a stage is: a function that gets a `StageContext`, writes artifacts through it, and returns a `StageResult`.

A stage does not judge itself. It reports what it measured and what it left out and why; gates judge that later, in
another process, on the sealed files.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from pydantic import JsonValue

from stagewright.stages.progress import Progress
from stagewright.state.artifacts import ArtifactWriter, Skipped
from stagewright.state.step_request import StepRequest

__all__ = ["Killed", "Stage", "StageContext", "StageResult", "Unit", "UnitFailed"]


@dataclass(frozen=True, slots=True)
class Unit:
    """The smallest piece of work of a stage, for example one fit.

    Attributes
    ----------
    name
        For people, e.g. ``hvg_3000/fa/k_20/seed_1``.
    method, k, preprocess
        What the unit is about, where it applies: a failure proposes to leave just this out.
    """

    name: str
    method: str | None = None
    k: int | None = None
    preprocess: str | None = None


class Killed(Exception):  # noqa: N818 - says what happened
    """A signal ended a process that a stage had started: from outside, or for want of memory. It may not again."""


class UnitFailed(Exception):  # noqa: N818 - says what happened; the cause is the error
    """One unit of work failed; `__cause__` is the error."""

    def __init__(self, unit: Unit) -> None:
        super().__init__(f"unit {unit.name} failed")
        self.unit = unit


@dataclass(frozen=True)
class StageContext:
    """What a stage is given.

    Attributes
    ----------
    run
        The run directory, to read the sealed artifacts of earlier steps.
    request
        What to do.
    artifacts
        The only way to write.
    progress
        Units done, for whoever waits.
    """

    run: Path
    request: StepRequest
    artifacts: ArtifactWriter
    progress: Progress

    @contextmanager
    def unit(self, unit: Unit) -> Iterator[None]:
        """Do one unit of work: measure it, and name it in the error if it fails."""
        with self.progress.measure(unit.name):
            try:
                yield
            except Exception as error:
                raise UnitFailed(unit) from error


@dataclass(frozen=True)
class StageResult:
    """What a stage measured; its meaning is that of the same fields of `Outcome`."""

    metrics: dict[str, float] = field(default_factory=dict)
    k_by_method: dict[str, int] = field(default_factory=dict)
    k_shortlist: dict[str, tuple[int, ...]] = field(default_factory=dict)
    configurations: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()
    trials: tuple[dict[str, JsonValue], ...] = ()
    n_cells: int | None = None


Stage: TypeAlias = Callable[[StageContext], StageResult]
