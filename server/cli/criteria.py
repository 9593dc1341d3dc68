"""Say how the success and failure criteria of a run's spec stand, with what was measured."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from pydantic import JsonValue

from stagewright.state.refusals import Refusal
from stagewright.state.run_directory import RunDirectory
from stagewright.state.run_state import RunState, split_step
from stagewright.state.spec.goal import Checkpoint, Criterion
from stagewright.tools.step_requests import sealed_spec

__all__ = ["JudgedCriterion", "criteria_lines", "judged_criteria"]

Kind: TypeAlias = Literal["success", "failure"]


@dataclass(frozen=True, slots=True)
class JudgedCriterion:
    """A criterion with the newest measurement of its metric.

    Attributes
    ----------
    value, checkpoint
        What was measured and where; None where nothing was measured from checkpoint B on. At A scores mean nothing yet.
    """

    criterion: Criterion
    value: float | None
    checkpoint: Checkpoint | None

    @property
    def holds(self) -> bool | None:
        """Whether the measured value is within the bound; None where nothing was measured."""
        return None if self.value is None else self.criterion.holds(self.value)

    def as_json(self) -> dict[str, JsonValue]:
        """Return the criterion for a program."""
        return {
            "criterion": str(self.criterion),
            "holds": self.holds,
            "value": self.value,
            "checkpoint": self.checkpoint,
        }


def judged_criteria(run: RunDirectory, state: RunState) -> dict[Kind, list[JudgedCriterion]]:
    """Return the criteria of the sealed spec; none where spec.yaml was changed, which `verify` names."""
    try:
        stop = sealed_spec(run, state).stop
    except Refusal:
        return {"success": [], "failure": []}
    return {
        "success": [_judged(criterion, state) for criterion in stop.success],
        "failure": [_judged(criterion, state) for criterion in stop.failure],
    }


def criteria_lines(run: RunDirectory, state: RunState) -> list[str]:
    """Return a line for each criterion, e.g. ``Success    held: plan1b.best.auc >= 0.8 (0.9513 at C)``."""
    judged = judged_criteria(run, state)
    lines = [f"Success    {_said(item, 'held', 'not met')}" for item in judged["success"]]
    stopped = state.status == "stopped"
    for item in judged["failure"]:
        ended = stopped and item.holds and item.checkpoint == state.checkpoint
        lines.append(f"Failure    {_said(item, 'met', 'not met')}{': the run was stopped' if ended else ''}")
    return lines


def _judged(criterion: Criterion, state: RunState) -> JudgedCriterion:
    for step in reversed(state.steps):
        checkpoint, sealed = split_step(step)[0], state.sealed.get(step)
        if checkpoint != "A" and sealed is not None and criterion.metric in sealed.metrics:
            return JudgedCriterion(criterion, sealed.metrics[criterion.metric], checkpoint)
    return JudgedCriterion(criterion, None, None)


def _said(item: JudgedCriterion, holding: str, otherwise: str) -> str:
    if item.value is None:
        return f"not measured yet: {item.criterion} (judged from checkpoint B on)"
    return f"{holding if item.holds else otherwise}: {item.criterion} ({item.value:.4g} at {item.checkpoint})"
