"""What is answered: of a step its attempts, verdicts, decisions and refusals; of a unit its part in each attempt."""

from typing import Literal

from stagewright.state.records import Record

__all__ = ["Because", "Happened", "UnitGroup", "UnitPart", "WhyAttempt", "WhyStep", "WhyUnit"]


class Because(Record):
    """The entry of the ledger by which something came about, in words."""

    text: str
    at: str
    entry: int


class UnitGroup(Record):
    """Units of an attempt that have one fate for one reason.

    Attributes
    ----------
    names
        The first few of them.
    """

    how: Literal["ran", "reused", "failed"]
    why: str
    count: int
    names: tuple[str, ...]

    @property
    def first(self) -> str:
        """One of them, to show."""
        return next(iter(self.names), "")


class WhyAttempt(Record):
    """One attempt at a step.

    Attributes
    ----------
    because
        What let it start.
    ended
        How it ended, in words, with what became of a failure.
    units
        What became of its units, most first; None where it left no record of them.
    """

    attempt: int
    outcome: str
    started_at: str
    started_by: str
    because: Because
    executor: str
    ended_at: str | None = None
    ended: str | None = None
    elapsed_s: float | None = None
    peak_rss_bytes: int | None = None
    failure: str | None = None
    traceback: str | None = None
    units: tuple[UnitGroup, ...] | None = None


class Happened(Record):
    """Something that happened to a step beside its attempts.

    Attributes
    ----------
    what
        A verdict of the gates, a decision, an approval, a block, or a refused call.
    text
        In a sentence.
    details
        Findings with what was measured and the threshold, changes, or proposals.
    """

    at: str
    what: Literal["verdict", "decision", "approval", "blocked", "refused"]
    by: str
    text: str
    details: tuple[str, ...] = ()
    word: str | None = None
    attempt: int | None = None


class WhyStep(Record):
    """What the record tells of a step.

    Attributes
    ----------
    now
        Where it stands, or why it was not reached.
    happened
        In time, with the attempts.
    """

    run_id: str
    step: str
    now: str
    attempts: tuple[WhyAttempt, ...] = ()
    happened: tuple[Happened, ...] = ()


class UnitPart(Record):
    """What became of a unit in one attempt.

    Attributes
    ----------
    made_by
        The attempt that made the result, where that was another one.
    """

    attempt: int
    step: str
    at: str
    how: Literal["ran", "reused", "failed"]
    why: str
    elapsed_s: float
    made_by: int | None = None
    made_at_step: str | None = None
    error: str | None = None
    artifacts: tuple[str, ...] = ()


class WhyUnit(Record):
    """What the record tells of a unit of work."""

    run_id: str
    unit: str
    parts: tuple[UnitPart, ...]
