"""``stagewright validate``: run the gates of the executed step."""

from pathlib import Path
from typing import Annotated

import typer

from stagewright.server.cli.exit_status import ExitStatus
from stagewright.server.cli.options import AsJson, PolicyFile, Root, RunName
from stagewright.server.cli.session import open_session
from stagewright.tools.replies import ValidateReply

__all__ = ["validate"]


def validate(
    run: RunName,
    *,
    again: Annotated[bool, typer.Option("--again", help="Judge a validated step anew.")] = False,
    root: Root = Path(),
    policy: PolicyFile = None,
    as_json: AsJson = False,
) -> None:
    """Run the gates of the executed step on its sealed artifacts. Leaves with 1 when the verdict is fail or error."""
    with open_session(root, policy, as_json=as_json) as session:
        session.if_interrupted = "The gates were ended and no verdict was recorded; validate again."
        reply = session.call("validate_stage", {"run_id": run, "again": again or None})
        session.show(reply)
        if isinstance(reply, ValidateReply) and reply.verdict in ("fail", "error"):
            raise typer.Exit(ExitStatus.FAILED)
