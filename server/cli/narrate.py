"""Say what a headless loop does: a progress bar for the step at work, and a line for each step that was judged."""

from types import TracebackType
from typing import Self

from pydantic import JsonValue

from stagewright.server.cli.session import Session
from stagewright.server.cli.step_display import StepDisplay
from stagewright.state.ledger import Ledger
from stagewright.state.units import format_bytes, format_seconds
from stagewright.tools.replies import DecideReply, ExecuteReply, Reply, ValidateReply

__all__ = ["Narrator"]

STYLES = {"pass": "green", "warn": "yellow", "fail": "red", "error": "red"}


class Narrator:
    """Calls tools for a loop and says what came of it.

    Parameters
    ----------
    session
        The command at work.
    ledger
        The ledger of the run that the loop drives.
    """

    def __init__(self, session: Session, ledger: Ledger) -> None:
        self._session = session
        self._ledger = ledger
        self._display = StepDisplay(session.err)

    def __enter__(self) -> Self:
        """Start to show progress."""
        self._display.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the display of progress."""
        self._display.__exit__(kind, error, trace)

    def call(self, tool: str, arguments: dict[str, JsonValue]) -> Reply:
        """Call a tool, show its signs of life, and say its reply in a line."""
        reply = self._session.call(tool, arguments, self._display.tick)
        if not self._session.as_json:
            self._say(reply)
        return reply

    def _say(self, reply: Reply) -> None:
        if isinstance(reply, ValidateReply):
            self._say_verdict(reply)
        elif isinstance(reply, ExecuteReply):
            for note in reply.notes:
                if note.startswith("attempt ") and "lost" in note:
                    self._session.say(f"{reply.step:<10} {self._session.typed.in_text(note)}", "yellow")
            if reply.blocked is not None and reply.status == "blocked":
                error = self._session.typed.in_text(reply.blocked.error)
                self._session.say(f"{reply.step:<10} blocked: {error}", "red")
        elif isinstance(reply, DecideReply) and reply.decision != "continue":
            changed = f": {', '.join(reply.changes)}" if reply.changes else ""
            self._session.say(f"{reply.step:<10} decided: {reply.decision}{changed}", "yellow")

    def _say_verdict(self, reply: ValidateReply) -> None:
        sealed = self._ledger.read().sealed[str(reply.step)]
        counts = f"{reply.passed} passed, {reply.warned} warned, {reply.failed + reply.errors} failed"
        self._session.say(
            f"{reply.step:<10} {reply.verdict:<5} {format_seconds(sealed.elapsed_s):>8} "
            f"{format_bytes(sealed.peak_rss_bytes):>9}  {counts}",
            STYLES[reply.verdict],
        )
        for finding in reply.worst:
            if finding.severity != "pass":
                self._session.say(
                    f"           {finding.severity}: {finding.gate}: {finding.subject}: {finding.measured}"
                )
        if reply.recommended == "stop":
            self._session.say(f"           {reply.recommended_why}")
