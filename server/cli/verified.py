"""What ``stagewright verify`` says of one run, or of the root's log, as text and as JSON."""

from dataclasses import dataclass, field
from pathlib import Path

from pydantic import JsonValue

from stagewright.server.cli.session import Session
from stagewright.state.chain import Problem
from stagewright.tools.check_receipt import ReceiptCheck

__all__ = ["Verified"]


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found.

    Attributes
    ----------
    name, folder
        What was looked at, and where it lies; the problems' files are relative to that.
    notes
        What a reader has to know beside the problems.
    receipt
        The receipt that it was compared with, and what came of it.
    """

    name: str
    folder: Path
    problems: list[Problem]
    notes: list[str] = field(default_factory=list)
    receipt: tuple[Path, ReceiptCheck] | None = None

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems and (self.receipt is None or not self.receipt[1].faults)

    def say(self, session: Session) -> None:
        """Write it for a person."""
        if self.problems:
            count = len(self.problems)
            session.say(f"{self.name}: {count} problem{'s' if count > 1 else ''}", "red")
        else:
            session.say(f"{self.name}: holds together", "green")
        for problem in self.problems:
            session.say(f"  {_shown(self.folder)}/{problem}")
        for note in self.notes:
            session.say(f"  note: {note}")
        if self.receipt is not None:
            self._say_receipt(session, *self.receipt)

    def _say_receipt(self, session: Session, file: Path, check: ReceiptCheck) -> None:
        for fault in check.faults:
            session.say(f"{file}: {fault}", "red")
        if not check.faults:
            session.say(f"{file}: {check.bears_out}", "green")
        for note in check.notes:
            session.say(f"  note: {note}")

    def as_json(self) -> dict[str, JsonValue]:
        """Return it for a program."""
        found: dict[str, JsonValue] = {
            "run_id": self.name,
            "path": str(self.folder),
            "problems": [
                {"file": item.file, "line": item.line, "what": item.what, "since": item.since} for item in self.problems
            ],
            "notes": [*self.notes],
        }
        if self.receipt is not None:
            file, check = self.receipt
            found["receipt"] = {"file": str(file), "problems": [*check.faults], "notes": [*check.notes]}
        return found


def _shown(folder: Path) -> Path:
    """Return a folder as a person names it from here."""
    here = Path.cwd()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder
