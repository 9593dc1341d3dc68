"""Wait for a child process that gives signs of life and, perhaps, an answer; show that it is at work."""

from collections.abc import Iterator
from typing import TypeVar

from stagewright.server.cli.session import Session
from stagewright.tools.replies import Tick

__all__ = ["wait_for", "wait_until_done"]

Answer = TypeVar("Answer")


def wait_for(session: Session, work: Iterator[Tick | Answer]) -> Answer:
    """Return the answer that ends the work.

    Raises
    ------
    RuntimeError
        When the work ends without an answer.
    """
    with session.err.status("..."):
        for item in work:
            if not isinstance(item, Tick):
                return item
    raise RuntimeError("the work ended without an answer")


def wait_until_done(session: Session, work: Iterator[Tick], message: str) -> None:
    """Wait for work that has no answer."""
    with session.err.status(message):
        for _ in work:
            pass
