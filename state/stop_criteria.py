"""Judge the spec's stop criteria on what was measured, and say which decision follows. Pure."""

from collections.abc import Mapping

from stagewright.state.records import Decision, Verdict
from stagewright.state.spec.goal import StopCriteria

__all__ = ["recommend"]


def recommend(
    criteria: StopCriteria,
    metrics: Mapping[str, float],
    verdict: Verdict,
    *,
    checkpoint: str,
    last_step: bool,
) -> tuple[Decision, str]:
    """Return the decision that code recommends after a verdict, and why.

    Parameters
    ----------
    criteria
        The sealed stop criteria.
    metrics
        Every metric of this checkpoint so far.
    verdict
        The verdict over the step's gates.
    checkpoint
        At A scores mean nothing yet (a smoke run on a few cells), so criteria are judged from B on.
    last_step
        Whether nothing follows this step.
    """
    if verdict in ("fail", "error"):
        return "adjust", f"the verdict is {verdict}: continue is refused; adjust what the worst finding names, or stop"
    if checkpoint != "A":
        for criterion in criteria.failure:
            value = metrics.get(criterion.metric)
            if value is not None and criterion.holds(value):
                return "stop", f"failure criterion met: {criterion} (measured {value:.4g})"
        measured = [(criterion, metrics.get(criterion.metric)) for criterion in criteria.success]
        if measured and all(value is not None and criterion.holds(value) for criterion, value in measured):
            reached = "; ".join(f"{criterion} (measured {value:.4g})" for criterion, value in measured)
            return "continue", f"the verdict is {verdict} and every success criterion holds: {reached}"
    follows = "completes the run" if last_step else "leads to the next step"
    return "continue", f"the verdict is {verdict}; continue {follows}"
