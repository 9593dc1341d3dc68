"""What each status refuses: one clear text with the status and the exact next call, and nothing changed."""

from collections.abc import Callable
from typing import Any

import pytest

from stagewright.state.refusals import Refusal

Refused = Callable[..., Refusal]
At = Callable[[str], str]

EXECUTE, VALIDATE = ("execute_stage", {}), ("validate_stage", {})
CONTINUE = ("decide", {"decision": "continue", "rationale": "I would like to"})
ADJUST = ("decide", {"decision": "adjust", "rationale": "other seeds", "adjustments": {"seeds": [7]}})
STOP = ("decide", {"decision": "stop", "rationale": "once more"})


@pytest.mark.parametrize(
    ("status", "what", "says", "status_said", "next_call"),
    [
        (
            "planned",
            VALIDATE,
            "A/ok has not been executed (planned)",
            "planned at A/ok",
            "execute_stage(run_id={run_id!r})",
        ),
        ("planned", CONTINUE, "continue needs a validated step", "planned at A/ok", "execute_stage(run_id={run_id!r})"),
        (
            "executed",
            EXECUTE,
            "was executed already (attempt 1)",
            "executed at A/ok",
            "validate_stage(run_id={run_id!r})",
        ),
        ("executed", CONTINUE, "A/ok is executed", "executed at A/ok", "validate_stage(run_id={run_id!r})"),
        ("executed", ADJUST, "cannot be adjusted", "executed at A/ok", "validate_stage(run_id={run_id!r})"),
        (
            "validated",
            EXECUTE,
            "validated with verdict pass; it waits for a decision",
            "validated at A/ok",
            "decide(run_id={run_id!r}, decision='continue', rationale='...')",
        ),
        (
            "failed",
            CONTINUE,
            "the verdict on A/ok is fail, and only pass or warn lets the run continue. This step would pass",
            "validated at A/ok",
            "decide(run_id={run_id!r}, decision='adjust', rationale='...', adjustments={{}})",
        ),
        (
            "failed",
            EXECUTE,
            "validated with verdict fail",
            "validated at A/ok",
            "decide(run_id={run_id!r}, decision='adjust'",
        ),
        (
            "blocked",
            EXECUTE,
            "A/crashes is blocked: CommandFailed: the command",
            "blocked at A/crashes",
            "decide(run_id={run_id!r}, decision='adjust', rationale='...', proposal=0)",
        ),
        ("blocked", VALIDATE, "has not been executed (blocked)", "blocked at A/crashes", "decide(run_id={run_id!r}"),
        ("blocked", CONTINUE, "A/crashes is blocked", "blocked at A/crashes", "decide(run_id={run_id!r}"),
        (
            "awaiting_approval",
            EXECUTE,
            "opens only when a person approves",
            "awaiting_approval at A/ok",
            "read_state(run_id={run_id!r}, wait_s=45)",
        ),
        ("awaiting_approval", VALIDATE, "has not been executed", "awaiting_approval at A/ok", "read_state("),
        ("awaiting_approval", CONTINUE, "is awaiting_approval", "awaiting_approval at A/ok", "read_state("),
        ("awaiting_approval", ADJUST, "cannot be adjusted", "awaiting_approval at A/ok", "read_state("),
        (
            "stopped",
            EXECUTE,
            "its record is closed",
            "stopped at A/ok",
            "read_state(run_id={run_id!r}, view='metrics')",
        ),
        (
            "stopped",
            VALIDATE,
            "its record is closed",
            "stopped at A/ok",
            "read_state(run_id={run_id!r}, view='metrics')",
        ),
        (
            "stopped",
            CONTINUE,
            "nothing can be decided",
            "stopped at A/ok",
            "read_state(run_id={run_id!r}, view='metrics')",
        ),
        ("stopped", ADJUST, "nothing can be decided", "stopped at A/ok", "read_state("),
        ("stopped", STOP, "closed", "stopped", "read_state("),
    ],
)
def test_a_call_that_the_status_does_not_allow(
    at: At,
    refused: Refused,
    status: str,
    what: tuple[str, dict[str, Any]],
    says: str,
    status_said: str,
    next_call: str,
) -> None:
    """The text says what was wrong, where the run is, and which call to make instead."""
    run_id = at(status)
    tool, arguments = what
    refusal = refused("not_allowed_now", tool, run_id=run_id, **arguments)
    text = str(refusal)
    assert says in text
    assert f"Status: {status_said}" in text
    assert f"Run: {run_id}" in text
    assert f"Next: {next_call.format(run_id=run_id)}" in text
    facts = refusal.facts()
    assert facts["refused"] == "not_allowed_now"
    assert refusal.next_call is not None
    assert facts["next"] == refusal.next_call.model_dump(mode="json")
