"""The run stays within what it may use."""

from collections.abc import Iterator
from functools import partial

from stagewright.gates.protocol import Finding, GateContext
from stagewright.state.records import Verdict
from stagewright.state.units import format_bytes, format_seconds

__all__ = ["budget"]

_finding = partial(Finding, gate="budget")
NEARLY = 0.9
"""The next step rarely needs less than the last one: with a tenth left, a person should know."""


def budget(context: GateContext) -> Iterator[Finding]:
    """Compare the run time and the peak memory that the run has used, from the ledger, with its limits.

    Notes
    -----
    The limits are the spec's, with the adjustments that were made: they are what a person agreed to spend. Above nine
    tenths of one the finding is a warning.
    """
    asked, limits = context.asked, context.asked.limits
    yield _compare(
        "run time",
        asked.runtime_used_s / limits.runtime_s,
        format_seconds(asked.runtime_used_s),
        format_seconds(limits.runtime_s),
        "runtime",
    )
    yield _compare(
        "peak memory",
        asked.peak_rss_bytes / limits.memory_bytes,
        format_bytes(asked.peak_rss_bytes),
        format_bytes(limits.memory_bytes),
        "memory",
    )


def _compare(subject: str, share: float, used: str, limit: str, adjustable: str) -> Finding:
    severity = _severity(share)
    reason = "The limit is what a person agreed to spend on the whole run."
    if severity == "fail":
        reason += f" To pass: adjust {adjustable} within the operator's cap, or ask for less work."
    elif severity == "warn":
        reason += f" To pass: adjust {adjustable}, or ask for less work in the steps to come."
    return _finding(
        subject=subject,
        severity=severity,
        measured=f"{used} ({share:.0%})",
        threshold=f"at most {limit}",
        reason=reason,
    )


def _severity(share: float) -> Verdict:
    if share > 1:
        return "fail"
    return "warn" if share > NEARLY else "pass"
