"""Read the outcomes that the ledger seals, once for everything that is compared with them."""

from dataclasses import dataclass

from stagewright.state.artifacts import Outcome, read_outcome
from stagewright.state.events import AttemptFinished
from stagewright.state.records import ArtifactSeal
from stagewright.state.run_directory import RunDirectory
from stagewright.tools.verification.fold import FoldedLedger, Recorded

__all__ = ["ReadOutcome", "read_outcomes"]


@dataclass(frozen=True, slots=True)
class ReadOutcome:
    """The outcome of one attempt that ended well: what it reported, or why that cannot be told any more.

    Attributes
    ----------
    item
        The ledger's entry that seals it.
    outcome
        None when the file is missing or was changed.
    fault
        What is wrong with the file then.
    """

    item: Recorded
    event: AttemptFinished
    sealed: ArtifactSeal
    outcome: Outcome | None
    fault: str | None = None

    @property
    def step(self) -> str:
        """The step of the attempt."""
        return str(self.event.step)


def read_outcomes(run: RunDirectory, folded: FoldedLedger) -> list[ReadOutcome]:
    """Return the outcome of every attempt that ended well, in the order of the ledger."""
    found: list[ReadOutcome] = []
    for item in folded.recorded:
        if not isinstance(item.event, AttemptFinished) or item.event.artifacts is None:
            continue
        sealed = item.event.artifacts
        try:
            found.append(ReadOutcome(item, item.event, sealed, read_outcome(run.path, sealed)))
        except (OSError, ValueError) as error:
            fault = str(error).removeprefix(f"{sealed.outcome} ")
            found.append(ReadOutcome(item, item.event, sealed, None, fault))
    return found
