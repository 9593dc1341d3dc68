"""Record that a person lets a run go on to its next checkpoint. Not a tool: no agent can call it."""

from stagewright.state.clock import stamp, utc_now
from stagewright.state.events import Approved
from stagewright.state.refusals import Refusal
from stagewright.state.run_state import RunState
from stagewright.tools.refresh_manifest import refresh_manifest
from stagewright.tools.workspace import Workspace, not_allowed

__all__ = ["approve"]

MAX_REASON = 4000


def approve(workspace: Workspace, named: str, reason: str) -> RunState:
    """Commit the approval of the checkpoint that waits for it and return the state after it.

    Parameters
    ----------
    named
        The run.
    reason
        Why, for the record.

    Raises
    ------
    Refusal
        `not_allowed_now` when no checkpoint waits for an approval; `invalid_argument` without a reason;
        `run_locked`; `unknown_run`.
    """
    why = reason.strip()
    if not 0 < len(why) <= MAX_REASON:
        raise Refusal("invalid_argument", f"--reason: say why, in 1 to {MAX_REASON} characters; it is the record")
    ledger = workspace.ledger(named)
    with ledger.transition() as transition:
        state = transition.state
        if state.status != "awaiting_approval":
            raise not_allowed(state, f"no checkpoint waits for an approval; {state.step} is {state.status}.")
        after = transition.commit(
            Approved(
                message=f"checkpoint {state.checkpoint} approved: {why.splitlines()[0][:200]}",
                step=state.step,
                actor=workspace.actor,
                checkpoint=state.checkpoint,
                reason=why,
            ),
        )
        refresh_manifest(ledger.run, after, stamp(utc_now()))
    return after
