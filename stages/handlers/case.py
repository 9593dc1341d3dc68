"""What an error handler looks at: the failed unit and its evidence."""

from dataclasses import dataclass
from pathlib import Path

from stagewright.stages.failure import Failure
from stagewright.state.records import Limits, Resources
from stagewright.state.run_state import RunState
from stagewright.state.spec import GoalSpec

__all__ = ["FailedCase"]


@dataclass(frozen=True, slots=True)
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
