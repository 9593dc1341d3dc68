"""Fold the ledger as far as it holds: its chain unbroken, its events possible in their order."""

from dataclasses import dataclass, field

from pydantic import ValidationError

from stagewright.state.chain import Entry, Problem
from stagewright.state.events import Event, parse_event
from stagewright.state.refusals import LedgerCorrupt
from stagewright.state.run_directory import RunDirectory
from stagewright.state.run_state import RunState
from stagewright.state.transitions import advance
from stagewright.tools.verification.read_log import ReadLog

__all__ = ["LEDGER", "FoldedLedger", "Recorded", "fold_ledger"]

LEDGER = "logs/agent_run.log"


@dataclass(frozen=True, slots=True)
class Recorded:
    """One event of the ledger: its line, its entry, and the state after it."""

    line: int
    entry: Entry
    event: Event
    state: RunState

    @property
    def at(self) -> str:
        """When it was written."""
        return str(self.entry.get("at"))

    @property
    def sealed_here(self) -> str:
        """Say in words that this entry sealed a file, and when."""
        attempt = getattr(self.event, "attempt", None)
        of = f"of {self.event.step}, attempt {attempt}, " if attempt is not None else ""
        return f"sealed {of}at {self.at} (agent_run.log:{self.line})"


@dataclass(slots=True)
class FoldedLedger:
    """The ledger as far as it holds.

    Attributes
    ----------
    recorded
        The events up to the first line that does not hold.
    problems
        Why the fold ended there. Empty where the chain itself is broken: that is the chain's problem to name.
    holds
        Whether the fold reached the end: only then does the ledger say what every file has to be.
    broken_at
        The line at which it ended, where it is a line.
    """

    recorded: list[Recorded] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    holds: bool = True
    broken_at: int | None = None

    @property
    def state(self) -> RunState | None:
        """The last state that could be folded."""
        return self.recorded[-1].state if self.recorded else None

    def end_at(self, line: int | None, what: str | None = None, since: str | None = None) -> "FoldedLedger":
        """Say that the fold ends here, and why where the chain does not say it."""
        self.holds = False
        self.broken_at = line
        if what is not None:
            self.problems.append(Problem(LEDGER, line, what, since))
        return self


def fold_ledger(run: RunDirectory, ledger: ReadLog) -> FoldedLedger:
    """Fold the ledger event by event; stop at the first line that is broken, no event, or was impossible.

    Parameters
    ----------
    ledger
        As it was read, with its entries.
    """
    folded = FoldedLedger()
    if ledger.missing:
        return folded.end_at(None)
    state: RunState | None = None
    for line, entry in enumerate(ledger.entries, start=1):
        if line == ledger.broken_at or entry is None:
            return folded.end_at(line)
        try:
            event = parse_event(entry)
            state = advance(state, event)
        except ValidationError as error:
            what = f"is no event of this version: {_first_line(error)}"
            return folded.end_at(line, what, ledger.holds_until(line))
        except LedgerCorrupt as error:
            return folded.end_at(line, f"could not have happened then: {error}", ledger.holds_until(line))
        folded.recorded.append(Recorded(line, entry, event, state))
    if state is None:
        return folded.end_at(None, "has no entry; a run begins with run_planned")
    if state.run_id != run.run_id:
        folded.problems.append(Problem(LEDGER, 1, f"is the ledger of {state.run_id}, not of {run.run_id}"))
    return folded


def _first_line(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
