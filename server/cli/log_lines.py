"""Write log entries for people: one story in time, readable at 80 columns, coloured by what happened."""

import textwrap
from collections.abc import Iterator
from typing import TypeAlias

from pydantic import JsonValue

__all__ = ["LogLines"]

KINDS = {"agent_run": "ledger", "validation": "gate", "decision": "decide", "tool_calls": "call"}
STYLES = {"agent_run": "bold", "validation": "default", "decision": "magenta", "tool_calls": "dim"}
SEVERITIES = {"pass": "green", "warn": "yellow", "fail": "red", "error": "red"}
FAILED_WORDS = ("step_blocked", "attempt_lost", "torn_tail_moved")
INDENT = 27

Line: TypeAlias = tuple[str, str]
"""A line and its style."""


class LogLines:
    """Turns entries into lines; it remembers the day, to head each new one.

    Parameters
    ----------
    width
        Columns to keep within, at least 60.
    """

    def __init__(self, width: int) -> None:
        self._width = max(60, width)
        self._day = ""

    def lines(self, log: str, entry: dict[str, JsonValue]) -> Iterator[Line]:
        """Yield the lines of one entry."""
        day, _, clock = str(entry.get("at")).partition("T")
        if day != self._day:
            self._day = day
            yield f"{day} (UTC)", "bold"
        step = str(entry.get("step") or "")
        head = f"{clock[:8]} {KINDS[log]:<7}{step:<10} "
        head = head if len(head) <= INDENT else f"{head.rstrip()} "
        wrapped = textwrap.wrap(
            _message(log, entry),
            width=self._width,
            initial_indent=head,
            subsequent_indent=" " * INDENT,
            break_on_hyphens=False,
        )
        style = _style(log, entry)
        for line in wrapped or [head.rstrip()]:
            yield line, style


def _message(log: str, entry: dict[str, JsonValue]) -> str:
    message = str(entry.get("message") or entry.get("event"))
    step = str(entry.get("step") or "")
    shown = message.removeprefix(f"{step} ") if step else message
    actor = str(entry.get("actor") or "")
    by = f" [{actor}]" if actor and log in ("agent_run", "decision") else ""
    took = entry.get("elapsed_s")
    spent = f" ({took} s)" if log == "tool_calls" and took is not None else ""
    return shown + by + spent


def _style(log: str, entry: dict[str, JsonValue]) -> str:
    verdict = str(entry.get("severity") or entry.get("verdict") or "")
    if verdict in SEVERITIES and log in ("validation", "agent_run"):
        return SEVERITIES[verdict]
    failed = entry.get("event") in FAILED_WORDS or entry.get("outcome") == "failed" or "refusal" in entry
    return "red" if failed else STYLES[log]
