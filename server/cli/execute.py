"""``stagewright execute``: execute the next step of a run, or attach to it while it runs."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from stagewright.server.cli.exit_status import ExitStatus
from stagewright.server.cli.options import AsJson, PolicyFile, Root, RunName
from stagewright.server.cli.session import open_session
from stagewright.server.cli.step_display import StepDisplay

__all__ = ["execute"]


def execute(
    run: RunName,
    *,
    wait: Annotated[float, typer.Option("--wait", min=0, help="Wait at most so many seconds.")] = 45.0,
    root: Root = Path(),
    policy: PolicyFile = None,
    as_json: AsJson = False,
) -> None:
    """Execute exactly the next step of a run, or attach to it while it runs. The stage goes on by itself."""
    with open_session(root, policy, as_json=as_json) as session:
        again = session.typed.line(["execute", shlex.quote(run)])
        session.if_interrupted = f"If the stage had started, it goes on by itself. Attach to it again: {again}"
        with StepDisplay(session.err) as display:
            reply = session.call("execute_stage", {"run_id": run, "wait_s": wait}, display.tick)
        session.show(reply)
        if reply.status == "blocked":
            raise typer.Exit(ExitStatus.BLOCKED)
