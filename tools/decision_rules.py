"""The rules of a decision: what its words must be, when a run may continue, which K may be chosen when."""

from dataclasses import dataclass

from pydantic import JsonValue

from stagewright.state.canonical import digest_json
from stagewright.state.forecast import Forecast
from stagewright.state.records import Decision
from stagewright.state.refusals import Refusal
from stagewright.state.run_state import RunState, split_step
from stagewright.tools.budget import limits_left
from stagewright.tools.workspace import Workspace, not_allowed

__all__ = ["Asked", "beyond_budget", "check_continue", "check_forecast", "check_k", "check_words"]

MAX_RATIONALE = 4000


@dataclass(frozen=True, slots=True)
class Asked:
    """The arguments of a call."""

    decision: Decision
    rationale: str
    adjustments: dict[str, JsonValue] | None
    proposal: int | None
    k_by_method: dict[str, int] | None

    def digest(self) -> str:
        """Return what tells this call from another."""
        return digest_json(
            {
                "decision": self.decision,
                "rationale": self.rationale,
                "adjustments": self.adjustments,
                "proposal": self.proposal,
                "k_by_method": dict(self.k_by_method) if self.k_by_method else None,
            },
        )


def check_words(asked: Asked) -> None:
    """Raise a `Refusal` unless the arguments fit together and the rationale says something."""
    if not 0 < len(asked.rationale) <= MAX_RATIONALE:
        raise Refusal("invalid_argument", f"rationale: say why, in 1 to {MAX_RATIONALE} characters; it is the record")
    if not asked.rationale.strip("."):
        raise Refusal("invalid_argument", 'rationale: "..." stands for your own words; say why, on which evidence')
    if asked.decision != "adjust" and (asked.adjustments or asked.proposal is not None):
        raise Refusal("invalid_argument", "adjustments and proposal go with decision='adjust' only")
    if asked.adjustments and asked.proposal is not None:
        raise Refusal("invalid_argument", "give either adjustments or a proposal, not both")
    if asked.decision == "stop" and asked.k_by_method:
        raise Refusal("invalid_argument", "k_by_method goes with decision='continue' or 'adjust'")


def check_continue(state: RunState) -> None:
    """Raise a `Refusal` unless the present step was validated without fail and no failure criterion holds."""
    if state.status != "validated":
        raise not_allowed(state, f"continue needs a validated step, and {state.step} is {state.status}.")
    if state.verdict not in ("pass", "warn"):
        would = (
            state.gates.would_pass if state.gates and state.gates.would_pass else "read_state(view='gates') says why"
        )
        raise not_allowed(
            state,
            f"the verdict on {state.step} is {state.verdict}, and only pass or warn lets the run continue. {would}",
        )
    if state.recommended == "stop":
        raise not_allowed(state, f"{state.recommended_why}; the spec that was sealed says to stop then.")


def beyond_budget(workspace: Workspace, state: RunState, forecast: Forecast | None) -> str | None:
    """Return why the next checkpoint may not be opened within the budget that is left, and what would make it fit."""
    left = limits_left(workspace, state)
    beyond = None if forecast is None else forecast.beyond(left.runtime_s, left.memory_bytes)
    if forecast is None or beyond is None:
        return None
    return f"the forecast of checkpoint {forecast.checkpoint} exceeds the budget ({beyond}): {forecast.remedies()}"


def check_forecast(workspace: Workspace, state: RunState) -> None:
    """Raise a `Refusal` where `continue` would open a checkpoint whose forecast exceeds what is left of the budget."""
    beyond = beyond_budget(workspace, state, state.forecast_ahead)
    if beyond is not None:
        raise not_allowed(
            state, f"{beyond}. Upper bounds count: a checkpoint that is ended half-way has cost all of it."
        )


def check_k(state: RunState, chosen: dict[str, int], decision: Decision) -> dict[str, int]:
    """Return the chosen K, or raise a `Refusal`: each is of Plan 0's shortlist, before the embeddings are made."""
    for method, k in chosen.items():
        shortlist = state.k_shortlist.get(method)
        if shortlist is None:
            known = ", ".join(state.k_shortlist) or "none: Plan 0 has not been executed at this checkpoint"
            raise Refusal("invalid_argument", f"k_by_method: no shortlist for {method!r}; there are {known}")
        if k not in shortlist:
            allowed = ", ".join(map(str, shortlist))
            raise Refusal("invalid_argument", f"k_by_method.{method}: got {k}; Plan 0's shortlist is {allowed}")
    if chosen and not _prepares_embeddings(state, decision):
        raise not_allowed(
            state,
            f"k_by_method cannot be changed by {decision} at {state.step}: the embeddings of this checkpoint are made "
            "at the first step after Plan 0. Choose K when you continue from plan0, or adjust that step.",
        )
    return chosen


def _prepares_embeddings(state: RunState, decision: Decision) -> bool:
    """Return whether the step that a decision opens fits the embeddings of its checkpoint."""
    before = [split_step(step) for step in state.steps[: state.position + (decision == "continue")]]
    here = {stage for checkpoint, stage in before if checkpoint == state.checkpoint}
    return "plan0" in here and not here & {"plan1a", "plan1b", "plan1c"}
