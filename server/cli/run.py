"""``stagewright run``: plan a study, or take it up, and drive its loop headless by the default policy."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from stagewright.server.cli.drive_loop import drive_loop
from stagewright.server.cli.exit_status import status_of_run
from stagewright.server.cli.narrate import Narrator
from stagewright.server.cli.options import AsJson, PolicyFile, Root
from stagewright.server.cli.resume import find_begun, unfinished_run
from stagewright.server.cli.run_summary import run_summary, summary_lines
from stagewright.server.cli.session import Session, open_session
from stagewright.server.cli.what_would_happen import what_would_happen
from stagewright.state.ledger import Ledger
from stagewright.state.refusals import Refusal
from stagewright.state.run_directory import RunDirectory
from stagewright.state.spec import load_spec
from stagewright.tools.attempt_view import is_lost
from stagewright.tools.replies import PlanReply

__all__ = ["drive_spec", "run"]


def run(
    spec: Annotated[Path, typer.Argument(metavar="SPEC", help="A goal spec in YAML or JSON.")],
    *,
    resume_from_state: Annotated[
        bool,
        typer.Option("--resume-from-state", help="Take up the newest unfinished run of this spec, or start one."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen, do nothing.")] = False,
    root: Root = Path(),
    policy: PolicyFile = None,
    as_json: AsJson = False,
) -> None:
    """Run a whole study headless: continue when gates pass, apply a blocked step's first proposal once, else stop."""
    with open_session(root, policy, as_json=as_json) as session:
        if dry_run:
            what_would_happen(session, spec, resume=resume_from_state)
            return
        drive_spec(session, spec, resume=resume_from_state)


def drive_spec(session: Session, spec: Path, *, resume: bool) -> None:
    """Plan a spec or take its run up, drive the loop to its end, and leave with the status that it deserves.

    Raises
    ------
    typer.Exit
        Always: 0 completed; 1 a gate failed, or the failure criterion was met; 4 blocked, or waiting for a person.
    """
    if not resume:
        _say_unfinished(session, spec)
    ledger = Ledger(_taken_up(session, spec) if resume else _planned(session, spec))
    again = session.typed.line(["run", shlex.quote(str(spec)), "--resume-from-state"])
    session.if_interrupted = (
        "A stage that runs goes on by itself, and everything so far is recorded. Take the run up again with:\n"
        f"  {again}"
    )
    with Narrator(session, ledger) as narrator:
        state = drive_loop(ledger, narrator.call)
    if session.as_json:
        session.write_json(run_summary(ledger.run, state))
    else:
        session.say("")
        for line in summary_lines(ledger.run, state, session.typed):
            session.say(line)
    raise typer.Exit(status_of_run(state))


def _say_unfinished(session: Session, spec: Path) -> None:
    try:
        declared = load_spec(spec)
    except Refusal:
        return  # planning refuses it, with every fault
    runs = find_begun(session.workspace.root, declared)
    if runs:
        which = "it" if len(runs) == 1 else "the newest"
        many = "1 unfinished run" if len(runs) == 1 else f"{len(runs)} unfinished runs"
        session.err.print(
            f"{many} of this spec: {', '.join(run.run_id for run in runs)}; --resume-from-state takes {which} up"
        )


def _planned(session: Session, spec: Path) -> RunDirectory:
    reply = session.call("plan_run", {"spec": str(spec)})
    if not session.as_json:
        session.say(reply.summary)
        for warning in reply.warnings if isinstance(reply, PlanReply) else ():
            session.say(f"  warning: {warning}", "yellow")
        session.say(f"Run {reply.run_id}")
    return session.workspace.run(str(reply.run_id))


def _taken_up(session: Session, spec: Path) -> RunDirectory:
    reply = session.call("plan_run", {"spec": str(spec), "dry_run": True})
    found = unfinished_run(session, spec, reply.spec_digest if isinstance(reply, PlanReply) else None)
    if found is None:
        return _planned(session, spec)
    state = Ledger(found).fold()
    if not session.as_json:
        lost = ", and its supervisor is gone" if is_lost(found, state) else ""
        session.say(f"Taking up {found.run_id}: {state.step} is {state.status}{lost}.")
    return found
