"""From findings to a verdict. Pure: no clock, no disk."""

from collections.abc import Sequence

from stagewright.gates.protocol import Finding
from stagewright.state.records import FindingSummary, GateTally, Verdict

__all__ = ["tally"]

SEVERITY: tuple[Verdict, ...] = ("error", "fail", "warn", "pass")
SHOWN = 5


def tally(findings: Sequence[Finding], *, n_gates: int) -> tuple[Verdict, GateTally]:
    """Return the verdict over all findings of a step, and how they are spread.

    The verdict is the worst of them: error, then fail, then warn, then pass. A step that nothing judged has not
    passed: no gate, no finding, or a gate that was not heard where the others found nothing wrong is an error.

    Parameters
    ----------
    findings
        What the gates found, in the order in which they ran.
    n_gates
        How many gates judge the step.
    """
    ordered = sorted(findings, key=lambda finding: SEVERITY.index(finding.severity))
    count = {severity: sum(finding.severity == severity for finding in findings) for severity in SEVERITY}
    heard = len({finding.gate for finding in findings})
    unheard = not ordered or n_gates < 1 or (heard < n_gates and ordered[0].severity in ("warn", "pass"))
    verdict: Verdict = "error" if unheard else ordered[0].severity
    return verdict, GateTally(
        passed=count["pass"],
        warned=count["warn"],
        failed=count["fail"],
        errors=count["error"] + unheard,
        worst=tuple(_summary(finding) for finding in ordered[:SHOWN] if finding.severity != "pass"),
        would_pass=_if_all_were_heard(heard, n_gates) if unheard else _if_the_worst_were_settled(ordered),
    )


def _if_all_were_heard(heard: int, n_gates: int) -> str:
    if n_gates < 1:
        return "This step would pass if a gate judged it: none is known for it, and an empty policy never passes."
    return f"This step would pass if all of its {n_gates} gates had answered ({heard} did): validate again."


def _if_the_worst_were_settled(ordered: list[Finding]) -> str | None:
    worst = ordered[0]
    if worst.severity == "pass":
        return None
    others = sum(finding.severity == worst.severity for finding in ordered) - 1
    also = f", and {others} other {worst.severity} finding{'s' if others > 1 else ''} were settled" if others else ""
    if worst.severity == "error":
        return f"This step would pass if {worst.gate} could measure {worst.subject} (now: {worst.measured}){also}."
    return (
        f"This step would pass without a {worst.severity} if {worst.gate} found {worst.threshold} "
        f"on {worst.subject} (now: {worst.measured}){also}."
    )


def _summary(finding: Finding) -> FindingSummary:
    return FindingSummary.model_validate(finding.model_dump(include=set(FindingSummary.model_fields)))
