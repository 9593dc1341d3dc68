"""What the proving child is asked and what it answers. Light to import."""

from typing import Literal

from pydantic import Field

from stagewright.gates.protocol import GateRequest
from stagewright.state.records import Record, Verdict

__all__ = ["JudgedStep", "KnownFinding", "ProvingAnswer", "ProvingQuestion", "Trial", "TrialResult"]

TrialResult = Literal["caught", "blind", "quiet", "cried", "not_applicable"]


class KnownFinding(Record):
    """A finding of the record, as far as two judgements of the same files have to agree in it."""

    gate: str
    subject: str
    severity: Verdict


class JudgedStep(Record):
    """A step that was judged before.

    Attributes
    ----------
    asked
        What its gates were asked then, of the copy of the run.
    recorded
        What they found then, from validation.log.
    """

    asked: GateRequest
    recorded: tuple[KnownFinding, ...]


class ProvingQuestion(Record):
    """What the child is asked.

    Attributes
    ----------
    scratch
        A folder for the spoilt copies; it is left empty but for `progress`.
    progress
        The file that says how far the work is: done, of how many, and at what, one a line.
    """

    scratch: str
    progress: str
    steps: tuple[JudgedStep, ...]


class Trial(Record):
    """One copy that was judged.

    Attributes
    ----------
    fault
        The fault's name in the catalogue, or the name of a control.
    gate
        The gate that has to fire; empty for a control, where none may.
    result
        ``caught`` or ``blind``; of a control ``quiet`` or ``cried``; ``not_applicable`` with the reason.
    fired
        The gates with a finding that the clean copy has not, each with its worst severity.
    said
        What the right gate found; what was wrong in a control; why a fault does not apply.
    """

    fault: str
    gate: str
    step: str
    result: TrialResult
    fired: dict[str, Verdict] = Field(default_factory=dict)
    said: str = ""


class ProvingAnswer(Record):
    """What the child answers."""

    trials: tuple[Trial, ...]
    elapsed_s: float
