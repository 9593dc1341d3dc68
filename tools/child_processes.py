"""The child processes that a call of a tool needs: who answers its questions, and who sees an attempt through.

One object of the workspace, so that what stands in for the children of a real run can be put there: the replay of a
recorded run answers from the record (`tools/replay/recorded_children.py`), and the ledger says so.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from pydantic import BaseModel

from stagewright.tools.children import ask_child, start_supervisor
from stagewright.tools.replies import Tick

__all__ = ["ChildProcesses", "RealChildren"]

Answer = TypeVar("Answer", bound=BaseModel)


class ChildProcesses(Protocol):
    """Whoever answers in the place of child processes."""

    @property
    def stands_in(self) -> str | None:
        """What the ledger names as the executor of an attempt; None where the attempt is really executed."""

    def ask(
        self, module: str, child: str | None, question: BaseModel, kind: type[Answer], timeout_s: float
    ) -> Iterator[Tick | Answer]:
        """Ask a question and yield signs of life, then the answer; as `children.ask_child`."""
        raise NotImplementedError

    def start_supervisor(self, attempt: Path, alive: int) -> None:
        """Start what sees an attempt through; as `children.start_supervisor`."""


@dataclass(frozen=True, slots=True)
class RealChildren:
    """Processes of this machine."""

    @property
    def stands_in(self) -> str | None:
        """Nothing stands in."""
        return None

    def ask(
        self, module: str, child: str | None, question: BaseModel, kind: type[Answer], timeout_s: float
    ) -> Iterator[Tick | Answer]:
        """Ask a child process of its own."""
        return ask_child(module, child, question, kind, timeout_s)

    def start_supervisor(self, attempt: Path, alive: int) -> None:
        """Start a detached supervisor."""
        start_supervisor(attempt, alive)
