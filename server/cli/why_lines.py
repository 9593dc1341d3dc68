"""Write the answer of `stagewright why` for a person: in time, indented, within a number of columns."""

import textwrap
from collections.abc import Iterator
from typing import TypeAlias

from stagewright.state.units import format_bytes, format_seconds
from stagewright.tools.why.answers import Happened, UnitGroup, UnitPart, WhyAttempt, WhyStep, WhyUnit

__all__ = ["why_lines"]

Line: TypeAlias = tuple[str, str]
"""A line and its style."""

GOOD, BAD, ATTENTION, PLAIN, QUIET = "green", "red", "yellow", "default", "dim"
WORDS = {
    "pass": GOOD,
    "executed": GOOD,
    "continue": GOOD,
    "warn": ATTENTION,
    "adjust": ATTENTION,
    "fail": BAD,
    "error": BAD,
    "failed": BAD,
    "lost": BAD,
    "stop": BAD,
}


def why_lines(answer: WhyStep | WhyUnit, width: int) -> Iterator[Line]:
    """Yield the lines of an answer."""
    if isinstance(answer, WhyUnit):
        yield from _unit_lines(answer, width)
        return
    yield from _wrapped(f"{answer.step}: {answer.now}", width, "", "bold")
    parts: list[tuple[str, int, WhyAttempt | Happened]] = [
        *((item.started_at, 0, item) for item in answer.attempts),
        *((item.at, 1, item) for item in answer.happened),
    ]
    blocking = {item.attempt for item in answer.happened if item.what == "blocked"}
    for _, _, part in sorted(parts, key=lambda item: item[:2]):
        yield "", PLAIN
        if isinstance(part, WhyAttempt):
            yield from _attempt_lines(part, width, says_how=part.attempt not in blocking)
        else:
            yield from _happened_lines(part, width)


def _wrapped(text: str, width: int, indent: str, style: str) -> Iterator[Line]:
    hanging = indent + ("  " if indent else "")
    for line in textwrap.wrap(
        text, width, initial_indent=indent, subsequent_indent=hanging, break_on_hyphens=False
    ) or [indent]:
        yield line, style


def _when(at: str) -> str:
    return at[:19].replace("T", " ")


def _attempt_lines(attempt: WhyAttempt, width: int, *, says_how: bool) -> Iterator[Line]:
    style = WORDS.get(attempt.outcome, PLAIN)
    yield f"{_when(attempt.started_at)}  attempt {attempt.attempt}: {attempt.outcome}", style
    on = "" if attempt.executor == "local" else f", on {attempt.executor}"
    yield from _wrapped(f"started by {attempt.started_by}{on}", width, "  ", PLAIN)
    yield from _wrapped(f"because {attempt.because.text} (ledger entry {attempt.because.entry})", width, "  ", PLAIN)
    if attempt.elapsed_s is not None and attempt.peak_rss_bytes is not None:
        used = f"used {format_seconds(attempt.elapsed_s)}, peak memory {format_bytes(attempt.peak_rss_bytes)}"
        yield from _wrapped(used, width, "  ", PLAIN)
    if says_how and attempt.outcome not in ("executed", "running") and attempt.ended is not None:
        yield from _wrapped(attempt.ended, width, "  ", style)
    if attempt.units:
        total = sum(group.count for group in attempt.units)
        for group in attempt.units:
            yield from _wrapped(_group(group, total), width, "  ", BAD if group.how == "failed" else PLAIN)


def _group(group: UnitGroup, total: int) -> str:
    names = f" ({', '.join(group.names)})"
    if group.count > len(group.names):
        names = f" ({group.first} and {group.count - 1} more)"
    return f"{group.count} of {total} units {group.how}: {group.why or 'no reason recorded'}{names}"


def _happened_lines(item: Happened, width: int) -> Iterator[Line]:
    style = BAD if item.what in ("blocked", "refused") else WORDS.get(item.word or "", PLAIN)
    on = "" if item.attempt is None else f" {'by' if item.what == 'blocked' else 'on'} attempt {item.attempt}"
    yield f"{_when(item.at)}  {item.what}{on} ({item.by})", style
    yield from _wrapped(item.text, width, "  ", PLAIN)
    for detail in item.details:
        yield from _wrapped(f"- {detail}", width, "    ", WORDS.get(detail.partition(":")[0], PLAIN))


def _unit_lines(answer: WhyUnit, width: int) -> Iterator[Line]:
    yield from _wrapped(f"{answer.unit}: in {len(answer.parts)} attempts", width, "", "bold")
    for part in answer.parts:
        yield "", PLAIN
        style = {"ran": PLAIN, "reused": GOOD, "failed": BAD}[part.how]
        yield f"{_when(part.at)}  attempt {part.attempt} of {part.step}: {part.how}", style
        yield from _wrapped(_reason(part), width, "  ", PLAIN)
        if part.error is not None:
            yield from _wrapped(part.error, width, "  ", BAD)
        for path in part.artifacts[:1]:
            more = f" and {len(part.artifacts) - 1} more" if len(part.artifacts) > 1 else ""
            yield from _wrapped(f"wrote {path}{more}", width, "  ", QUIET)


def _reason(part: UnitPart) -> str:
    took = format_seconds(part.elapsed_s)
    if part.how == "reused":
        return f"its result was there already: {part.why}"
    return f"{part.how} in {took}: {part.why or 'no reason recorded'}"
