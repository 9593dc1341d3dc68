"""``stagewright approve``: let a run go on to the checkpoint that waits for a person."""

from pathlib import Path
from typing import Annotated

import typer

from stagewright.server.cli.next_command import next_command
from stagewright.server.cli.options import AsJson, PolicyFile, Root, RunName
from stagewright.server.cli.session import open_session
from stagewright.state.run_state import next_call
from stagewright.tools import approve as approval

__all__ = ["approve"]


def approve(
    run: RunName,
    *,
    reason: Annotated[str, typer.Option("--reason", help="Why; goes into the record with your name.")],
    root: Root = Path(),
    policy: PolicyFile = None,
    as_json: AsJson = False,
) -> None:
    """Let a run go on to the checkpoint that waits for a person's approval."""
    with open_session(root, policy, as_json=as_json) as session:
        state = approval.approve(session.workspace, run, reason)
        call = next_call(state)
        if session.as_json:
            session.write_json(
                {"run_id": state.run_id, "step": state.step, "status": state.status, "next": call.model_dump()}
            )
        else:
            session.say(f"Checkpoint {state.checkpoint} approved; {state.step} is {state.status}.")
            session.say(f"Next: {next_command(call, session.typed, state.status)}")
