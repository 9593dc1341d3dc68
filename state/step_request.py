"""What a worker is asked to do: `request.json` of an attempt, complete and independent of any other file but the data.

A request names files of the run relative to the run directory, so that a run that was copied elsewhere still reads.
"""

from typing import Annotated

from pydantic import Field

from stagewright.state.executor import ExecutorChoice
from stagewright.state.pseudonym_key import PseudonymKey
from stagewright.state.records import ArtifactSeal, Limits, Record, SealedData
from stagewright.state.run_state import split_step
from stagewright.state.spec.data import DataScope
from stagewright.state.spec.effective import EffectiveStudy
from stagewright.state.spec.goal import Checkpoint

__all__ = ["CommandStage", "StepRequest"]


class CommandStage(Record):
    """An argv that the operator registered as a stage. No shell reads it; braces are filled in part by part."""

    argv: Annotated[tuple[str, ...], Field(min_length=1)]
    why: str = ""


class StepRequest(Record):
    """One attempt at one step.

    Attributes
    ----------
    k_by_method
        K chosen for each method, for the stages after Plan 0.
    upstream
        The sealed outcomes of this checkpoint's earlier steps, by step.
    workers
        Units run side by side.
    limits
        What is left of the run's budget: seconds for this attempt, bytes for its process tree.
    caps
        The operator's bounds, within which a proposal may ask for more.
    output_bytes
        How much the attempt may print before it is ended as a runaway.
    failed_units
        The share of the units that may fail for good with the step still executed.
    executor
        Where its heavy calls run: the operator's choice when the attempt began.
    decisions
        Decisions of the run so far. A command's result is used again for the same decision only.
    pseudonyms
        Where the key lies by which patients are named; None where they are named by their ids.
    """

    run_id: str
    step: str
    attempt: int
    data: SealedData
    scope: DataScope
    study: EffectiveStudy
    k_by_method: dict[str, int]
    upstream: dict[str, ArtifactSeal]
    limits: Limits
    caps: Limits
    workers: int
    output_bytes: int = 256 * 2**20
    failed_units: float = 0.0
    decisions: int = 0
    gates: dict[str, dict[str, float]] = Field(default_factory=dict)
    command: CommandStage | None = None
    executor: ExecutorChoice = ExecutorChoice()
    pseudonyms: PseudonymKey | None = None

    @property
    def checkpoint(self) -> Checkpoint:
        """The step's checkpoint."""
        return split_step(self.step)[0]

    @property
    def stage(self) -> str:
        """The step's stage."""
        return split_step(self.step)[1]
