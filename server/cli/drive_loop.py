"""Drive a run headless by the default policy.

Continue when the gates pass. When a step is blocked, apply its first proposal, once for each step, then leave it
blocked. Stop when the spec's failure criterion is met. Leave a run whose verdict is fail or error as it is, and one
whose next checkpoint would not fit the budget: what to change is for somebody who can think about it.
"""

from collections.abc import Callable

from pydantic import JsonValue

from stagewright.state.ledger import Ledger
from stagewright.state.refusals import Refusal
from stagewright.state.run_state import RunState
from stagewright.tools.replies import Reply

__all__ = ["CallTool", "drive_loop"]

CallTool = Callable[[str, dict[str, JsonValue]], Reply]
"""Calls a tool by its name with its arguments and waits for the reply."""

WAIT_S = 3600.0
PROPOSAL_RATIONALE = "Default policy: the step is blocked, so its first proposal is applied, once: "


def drive_loop(ledger: Ledger, call: CallTool) -> RunState:
    """Take a run on until it is over or needs somebody, and return its state then.

    Parameters
    ----------
    ledger
        The run's ledger. The loop holds nothing else: ended at any point and started again, it goes on from there.
    call
        How a tool is called.

    Returns
    -------
    A state that is `completed`, `stopped`, `blocked`, `awaiting_approval`, or `validated` with a verdict of fail or
    error or with a forecast beyond the budget.

    Raises
    ------
    Refusal
        When a call is refused, for example because somebody else moved the run meanwhile.
    """
    while True:
        state = ledger.fold()  # never a snapshot, however long the ledger: anybody can edit that file
        try:
            over = _step(ledger, state, call)
        except Refusal as refusal:
            # Between the fold and the call a supervisor, or somebody else, may have taken the run on.
            if refusal.code != "not_allowed_now" or ledger.fold() == state:
                raise
            continue
        if over:
            return state


def _step(ledger: Ledger, state: RunState, call: CallTool) -> bool:
    """Make the one call that takes a run on from a state; return whether it is over or needs somebody instead."""
    match state.status:
        case "planned" | "running":
            call("execute_stage", {"run_id": state.run_id, "wait_s": WAIT_S})
        case "executed":
            call("validate_stage", {"run_id": state.run_id})
        case "validated" if state.verdict in ("pass", "warn") and state.recommended != "adjust":
            call("decide", _after_verdict(state))
        case "blocked" if state.blocked is not None and state.blocked.proposals and not _tried(ledger, state):
            rationale = PROPOSAL_RATIONALE + state.blocked.proposals[0].what
            call(
                "decide",
                {"run_id": state.run_id, "decision": "adjust", "proposal": 0, "rationale": rationale},
            )
        case _:
            return True
    return False


def _after_verdict(state: RunState) -> dict[str, JsonValue]:
    decision = "stop" if state.recommended == "stop" else "continue"
    rationale = f"Default policy: {state.recommended_why}"
    return {"run_id": state.run_id, "decision": decision, "rationale": rationale}


def _tried(ledger: Ledger, state: RunState) -> bool:
    """Return whether a loop, this one or an earlier one, applied a proposal at this step."""
    return any(
        entry.get("step") == state.step and str(entry.get("rationale")).startswith(PROPOSAL_RATIONALE)
        for entry in ledger.log.entries()
    )
