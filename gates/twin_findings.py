"""Findings of the gate on the null twin."""

from stagewright.gates.permuted_labels import AGAIN, WHY
from stagewright.gates.protocol import Finding
from stagewright.state.records import Verdict

__all__ = ["TOLERANCE", "fault", "record"]

TOLERANCE = 1e-6
"""By how much a figure may miss what follows from the predictions."""


def fault(subject: str, measured: str, wanted: str) -> Finding:
    """Return the failure of a twin that is not what its stage says it is."""
    return record(subject, "fail", measured, wanted, f"{WHY} {AGAIN}")


def record(subject: str, severity: Verdict, measured: str, wanted: str, reason: str) -> Finding:
    """Return a finding of the gate."""
    return Finding(
        gate="null_twin", subject=subject, severity=severity, measured=measured, threshold=wanted, reason=reason
    )
