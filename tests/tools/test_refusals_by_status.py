"""What each status refuses: one clear text with the status and the exact next call, and nothing changed."""

from collections.abc import Callable
from typing import Any

import pytest

from stagewright.state.refusals import Refusal

pytestmark = pytest.mark.usefixtures("look_here")

EXECUTE: tuple[str, dict[str, Any]] = ("execute_stage", {})
VALIDATE: tuple[str, dict[str, Any]] = ("validate_stage", {})
CONTINUE = ("decide", {"decision": "continue", "rationale": "I would like to"})
ADJUST = ("decide", {"decision": "adjust", "rationale": "other seeds", "adjustments": {"seeds": [7]}})
STOP = ("decide", {"decision": "stop", "rationale": "once more"})

TO_EXECUTE = "execute_stage(run_id={run_id!r}) - A/ok is ready to be executed"
TO_VALIDATE = "validate_stage(run_id={run_id!r}) - A/ok was executed; its gates have to be run before a decision"
TO_CONTINUE = "decide(run_id={run_id!r}, decision='continue', rationale='...') - the verdict is pass"
TO_ADJUST = "decide(run_id={run_id!r}, decision='adjust', rationale='...', adjustments={{}}) - the verdict is fail"
TO_PROPOSAL = "decide(run_id={run_id!r}, decision='adjust', rationale='...', proposal=0) - A/crashes is blocked"
TO_WAIT = "read_state(run_id={run_id!r}, wait_s=45) - a person has to run `stagewright approve {run_id} --reason ...`"
TO_READ = "read_state(run_id={run_id!r}, view='metrics') - the run is stopped"

REFUSED = {
    "planned": (
        "planned at A/ok",
        TO_EXECUTE,
        [
            (VALIDATE, "A/ok has not been executed (planned), so there is nothing to judge"),
            (CONTINUE, "continue needs a validated step, and A/ok is planned"),
        ],
    ),
    "executed": (
        "executed at A/ok",
        TO_VALIDATE,
        [
            (EXECUTE, "A/ok was executed already (attempt 1) and waits for its gates"),
            (CONTINUE, "continue needs a validated step, and A/ok is executed"),
            (ADJUST, "a step that is executed cannot be adjusted"),
        ],
    ),
    "validated": (
        "validated at A/ok",
        TO_CONTINUE,
        [
            (EXECUTE, "A/ok was executed and validated with verdict pass; it waits for a decision"),
        ],
    ),
    "failed": (
        "validated at A/ok",
        TO_ADJUST,
        [
            (
                CONTINUE,
                "the verdict on A/ok is fail, and only pass or warn lets the run continue. This step would pass",
            ),
            (EXECUTE, "A/ok was executed and validated with verdict fail"),
        ],
    ),
    "blocked": (
        "blocked at A/crashes",
        TO_PROPOSAL,
        [
            (EXECUTE, "A/crashes is blocked: CommandFailed: the command"),
            (VALIDATE, "A/crashes has not been executed (blocked)"),
            (CONTINUE, "continue needs a validated step, and A/crashes is blocked"),
        ],
    ),
    "awaiting_approval": (
        "awaiting_approval at A/ok",
        TO_WAIT,
        [
            (EXECUTE, "A/ok opens only when a person approves"),
            (VALIDATE, "A/ok has not been executed (awaiting_approval)"),
            (CONTINUE, "continue needs a validated step, and A/ok is awaiting_approval"),
            (ADJUST, "a step that is awaiting_approval cannot be adjusted"),
        ],
    ),
    "stopped": (
        "stopped at A/ok",
        TO_READ,
        [
            (EXECUTE, "the run is stopped; its record is closed and nothing can be executed"),
            (VALIDATE, "the run is stopped; its record is closed"),
            (CONTINUE, "the run is stopped; its record is closed and nothing can be decided"),
            (ADJUST, "the run is stopped; its record is closed and nothing can be decided"),
            (STOP, "the run is stopped; its record is closed and nothing can be decided"),
        ],
    ),
}  # fmt: skip - a table


@pytest.mark.parametrize("status", REFUSED)
def test_calls_that_a_status_does_not_allow(
    at: Callable[[str], str], refused: Callable[..., Refusal], status: str
) -> None:
    """The text says what was wrong, where the run is, and which call to make instead."""
    run_id = at(status)
    said, next_call, calls = REFUSED[status]
    for (tool, arguments), says in calls:
        refusal = refused("not_allowed_now", tool, run_id=run_id, **arguments)
        text = str(refusal)
        assert says in text
        assert f"Status: {said}" in text
        assert f"Run: {run_id}" in text
        assert f"Next: {next_call.format(run_id=run_id)}" in text
        facts = refusal.facts()
        assert (facts["refused"], facts["run_id"], facts["status"]) == ("not_allowed_now", run_id, said)
        assert refusal.next_call is not None
        assert facts["next"] == refusal.next_call.model_dump(mode="json")


def test_a_running_step_can_only_be_waited_for_or_stopped(
    call: Callable[..., dict[str, Any]], plan: Callable[..., str], refused: Callable[..., Refusal]
) -> None:
    """Its gates and its parameters have to wait; the refusals lead back to the wait."""
    run_id = plan("sleeps")
    assert call("execute_stage", run_id=run_id, wait_s=0)["status"] == "running"
    to_wait = f"Next: execute_stage(run_id={run_id!r}) - A/sleeps is running; the call attaches to it and waits"
    for (tool, arguments), says in (
        (VALIDATE, "A/sleeps has not been executed (running)"),
        (CONTINUE, "continue needs a validated step, and A/sleeps is running"),
        (ADJUST, "a step that is running cannot be adjusted"),
    ):
        with pytest.raises(Refusal) as caught:  # its worker writes meanwhile, so the folder is not compared
            call(tool, run_id=run_id, **arguments)
        assert says in str(caught.value)
        assert to_wait in str(caught.value)
    call("decide", run_id=run_id, decision="stop", rationale="enough")
    refused("not_allowed_now", "execute_stage", run_id="2")
