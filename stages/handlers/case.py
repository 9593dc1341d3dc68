"""What an error handler looks at: the failed unit and its evidence."""

import csv
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from stagewright.stages.catalogue import STAGES
from stagewright.stages.failure import Failure
from stagewright.state.attempts import WORKER_LOG, tail_lines
from stagewright.state.layout import analysis
from stagewright.state.records import FailureKind, Limits, Resources
from stagewright.state.run_state import RunState
from stagewright.state.spec import Adjustments, EffectiveStudy, GoalSpec, effective_study
from stagewright.state.spec.goal import CHECKPOINTS

__all__ = ["MEMORY_KINDS", "FailedCase"]

MEMORY_KINDS: frozenset[FailureKind] = frozenset({"out_of_memory", "memory_budget"})

LAST_LINES = 40


@dataclass(frozen=True)
class FailedCase:
    """A step that cannot go on.

    Attributes
    ----------
    state
        Of the run, with what it had used before.
    spec
        The sealed spec with the adjustments made so far, of all checkpoints: an adjustment holds for those to come too.
    workers
        Units that were run side by side.
    limits
        What the run may use as a whole.
    caps
        The operator's bounds, within which a proposal may ask for more.
    resources
        What the attempt had used; None where no attempt began.
    folder
        Of the attempt; None where no attempt began.
    """

    failure: Failure
    state: RunState
    spec: GoalSpec
    workers: int
    limits: Limits
    caps: Limits
    resources: Resources | None = None
    folder: Path | None = None

    @property
    def runtime_used_s(self) -> float:
        """Seconds that the run has used, the failed attempt included."""
        return self.state.runtime_used_s + (0.0 if self.resources is None else self.resources.elapsed_s)

    @property
    def built_in(self) -> bool:
        """Whether the stage is one of ours, and no operator's command."""
        return self.state.stage in STAGES

    @property
    def cells_may_change(self) -> bool:
        """Whether no earlier step of this checkpoint is sealed on its cells."""
        before = self.state.steps[: self.state.position]
        return self.built_in and not any(
            step in self.state.sealed for step in before if step[0] == self.state.checkpoint
        )

    @cached_property
    def study(self) -> EffectiveStudy:
        """What the present checkpoint runs."""
        return effective_study(self.spec, Adjustments(), self.state.checkpoint)

    @cached_property
    def last_lines(self) -> tuple[str, ...]:
        """The last lines that the attempt printed."""
        return () if self.folder is None else tail_lines(self.folder / WORKER_LOG, LAST_LINES)

    @cached_property
    def n_patients(self) -> int | None:
        """How many patients the study has, by the cells that an earlier Plan 0 listed; None where none did."""
        if self.folder is None:
            return None
        for checkpoint in CHECKPOINTS:  # the first is the smallest, and has every patient
            path = self.folder.parent.parent / analysis(checkpoint) / "plan0" / "cells.csv"
            if not path.is_file():
                continue
            try:
                with path.open(encoding="utf-8", newline="") as file:
                    patients = {row.get("patient") for row in csv.DictReader(file)}
            except (OSError, ValueError, csv.Error):
                continue
            return len(patients) or None
        return None

    @property
    def average_cells(self) -> float | None:
        """Cells of a patient on average at the present checkpoint, where that is known."""
        if not self.failure.n_cells or self.n_patients is None:
            return None
        return self.failure.n_cells / self.n_patients
