"""``stagewright approve``: show a run to the person it waits for, and let it go on when that person says so."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from stagewright.server.cli.approval_lines import approval_lines
from stagewright.server.cli.exit_status import ExitStatus
from stagewright.server.cli.next_command import next_command
from stagewright.server.cli.options import AsJson, PolicyFile, Root, RunName
from stagewright.server.cli.session import Session, open_session
from stagewright.state.run_state import next_call
from stagewright.tools.approval_report import ApprovalReport
from stagewright.tools.approve import Approval, report_to_approve
from stagewright.tools.approve import approve as commit_approval

__all__ = ["approve"]


def approve(
    run: RunName,
    *,
    reason: Annotated[str | None, typer.Option("--reason", help="Why; goes into the record with your name.")] = None,
    digest: Annotated[
        str | None, typer.Option("--digest", help="Of the report that you were shown; without it, it is shown.")
    ] = None,
    root: Root = Path(),
    policy: PolicyFile = None,
    as_json: AsJson = False,
) -> None:
    """Show the report of a run that waits for a person, and approve it: at a terminal when asked, else by --digest."""
    with open_session(root, policy, as_json=as_json) as session:
        if digest is None:
            shown = report_to_approve(session.workspace, run)
            _show(session, shown)
            if session.as_json or not sys.stdin.isatty():
                raise typer.Exit(ExitStatus.REFUSED)  # shown, and not approved
            if not typer.confirm(f"Approve checkpoint {shown.checkpoint} on this report?", default=False):
                session.say("Nothing was approved.")
                raise typer.Exit(ExitStatus.REFUSED)
            digest = shown.digest
        why = typer.prompt("Why (for the record)") if reason is None and sys.stdin.isatty() else reason or ""
        approval = commit_approval(session.workspace, run, why, digest)
        state = approval.state
        call = next_call(state)
        if session.as_json:
            session.write_json(
                {
                    "run_id": state.run_id,
                    "step": state.step,
                    "status": state.status,
                    "next": call.model_dump(),
                    "receipt": None if approval.receipt is None else approval.receipt[0].text(),
                }
            )
        else:
            session.say(f"Checkpoint {state.checkpoint} approved; {state.step} is {state.status}.")
            _show_receipt(session, approval)
            session.say(f"Next: {next_command(call, session.typed, state.status)}")


def _show_receipt(session: Session, approval: Approval) -> None:
    if approval.receipt is None:
        session.say("The disk took no receipt; `stagewright receipt` prints one.")
        return
    receipt, place = approval.receipt
    session.say(f"\n{receipt.text()}")
    session.say(
        f"It is kept as {place}, which is no help against a directory that is rewritten as a whole: keep the text "
        "above somewhere else, such as a commit message or a lab book."
    )


def _show(session: Session, report: ApprovalReport) -> None:
    words = ["approve", shlex.quote(report.run_id), "--digest", report.digest[:16], "--reason", '"..."']
    if session.as_json:
        session.write_json({"digest": report.digest, "report": report.model_dump(mode="json")})
        return
    for line in approval_lines(report):
        session.say(line)
    if not sys.stdin.isatty():
        session.say(f"Nothing was approved. To approve this report: {session.typed.line(words)}")
