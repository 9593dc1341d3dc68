"""What the lock-box' process is asked at the end of a run, and what it answers."""

from stagewright.state.holdout import HoldoutScore, HoldoutSeal
from stagewright.state.records import ArtifactSeal, Record
from stagewright.state.spec.data import DataScope
from stagewright.state.step_request import StepRequest

__all__ = ["HoldoutAnswer", "HoldoutQuestion"]


class HoldoutQuestion(Record):
    """Fit the best configuration to all working patients and score it on those that were put aside.

    Attributes
    ----------
    lockbox, run
        Folders.
    request
        Of a step of the last checkpoint: the data, the study, the limits, and the scope without the hold-out.
    scope
        The spec's scope, which has all patients.
    scored, artifacts
        The step whose best configuration is meant, and what the ledger seals of it.
    """

    lockbox: str
    run: str
    seal: HoldoutSeal
    request: StepRequest
    scope: DataScope
    scored: str
    artifacts: ArtifactSeal


class HoldoutAnswer(Record):
    """The score, or why there is none now; a fault uses no further query when the same question is asked again."""

    score: HoldoutScore | None = None
    fault: str | None = None
