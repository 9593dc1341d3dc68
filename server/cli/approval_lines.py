"""Write the report that a person approves, readable at 80 columns."""

import textwrap
from collections.abc import Iterator

from stagewright.state.units import format_bytes, format_seconds
from stagewright.tools.approval_report import ApprovalReport

__all__ = ["approval_lines"]

WIDTH = 80
INDENT = 11


def approval_lines(report: ApprovalReport) -> list[str]:
    """Return the report, line by line; the digest, over all of it, comes last."""
    return [line for head, text in _parts(report) for line in _wrapped(head, text)]


def _parts(report: ApprovalReport) -> Iterator[tuple[str, str]]:
    yield "Run", report.run_id
    yield "Question", report.objective
    yield "Approves", f"that checkpoint {report.checkpoint} begins"
    if not report.steps:
        yield "Verdicts", "none yet: nothing was executed"
    for number, step in enumerate(report.steps):
        counts = f"{step.passed} passed, {step.warned} warned, {step.failed + step.errors} failed"
        yield "" if number else "Verdicts", f"{step.step}: {step.verdict} ({counts})"
        for finding in step.findings:
            yield "", f"- {finding}"
    if report.best_step is not None:
        yield "Best", f"{report.best_step}: {report.best or 'see the metrics'}"
        for name, value in report.metrics.items():
            yield "", f"{name} = {value:.4g}"
    yield "Trials", f"{report.configurations} configurations tried, {_adjustments(report)}"
    limits = report.limits
    time = f"{format_seconds(report.runtime_used_s)} of {format_seconds(limits.runtime_s)} used"
    memory = f"highest memory {format_bytes(report.peak_rss_bytes)} of {format_bytes(limits.memory_bytes)}"
    yield "Budget", f"{time}; {memory}; {report.failures} failed attempts"
    if report.forecast is not None:
        yield "Forecast", report.forecast
    if report.put_aside:
        yield "Hold-out", f"{report.put_aside} patients are put aside and were not looked at"
    yield "Record", "holds together" if not report.problems else f"{len(report.problems)} problems:"
    for problem in report.problems:
        yield "", f"- {problem}"
    yield "Ledger", f"entry {report.ledger_seq}, {report.ledger_head}"
    yield "Digest", report.digest


def _adjustments(report: ApprovalReport) -> str:
    if not report.adjustments:
        return "nothing adjusted"
    some = f"{report.adjustments} adjustment{'s' if report.adjustments > 1 else ''}"
    return f"{some}, {report.loosened_after_look} of them looser after the first look at pilot scores"


def _wrapped(head: str, text: str) -> list[str]:
    first, rest = f"{head:<{INDENT}}", " " * INDENT
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False) or [first]
