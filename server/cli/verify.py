"""``stagewright verify``: say whether the record of a run holds together, and where it does not."""

from pathlib import Path
from typing import Annotated

import typer
from pydantic import JsonValue

from stagewright.server.cli.exit_status import ExitStatus
from stagewright.server.cli.options import AsJson, PolicyFile, Root
from stagewright.server.cli.session import Session, open_session
from stagewright.state.chain import ChainedLog, Problem
from stagewright.state.run_directory import EXPERIMENTS, list_runs
from stagewright.tools.privacy.raw_ids import privacy_note
from stagewright.tools.verification.chains import chain_problems
from stagewright.tools.verify_run import verify_run

__all__ = ["verify"]

ROOT_LOG = "tool_calls.log"


def verify(
    run: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="A run: its id, a unique prefix of it, or the path of its directory."),
    ] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Every run under the root, and the root's own log.")] = False,
    root: Root = Path(),
    policy: PolicyFile = None,
    as_json: AsJson = False,
) -> None:
    """Verify logs, snapshot, sealed files and artifacts; name every problem with file and line. 1 if there is one."""
    if (run is None) != every:
        raise typer.BadParameter("name one run, or give --all", param_hint="RUN")
    with open_session(root, policy, as_json=as_json) as session:
        runs = list(list_runs(session.workspace.root)) if run is None else [session.workspace.run(run)]
        found: list[tuple[str, Path, list[Problem]]] = []
        notes: dict[str, str] = {}
        for one in runs:
            found.append((one.run_id, one.path, verify_run(one)))
            _say(session, *found[-1])
            note = privacy_note(session.workspace, one)
            if note is not None:
                notes[one.run_id] = note.said()
                if not session.as_json:
                    session.say(f"  {note.said()}", "yellow" if note.alarming else None)
        experiments = session.workspace.root / EXPERIMENTS
        if every and (experiments / ROOT_LOG).is_file():
            found.append((EXPERIMENTS, experiments, chain_problems(ChainedLog(experiments / ROOT_LOG), ROOT_LOG)))
            _say(session, *found[-1])
        if session.as_json:
            session.write_json({"runs": [_as_json(*item) | _noted(notes.get(item[0])) for item in found]})
        elif not found:
            session.say("There is no run under this root.")
        if any(problems for _, _, problems in found):
            raise typer.Exit(ExitStatus.FAILED)


def _say(session: Session, name: str, folder: Path, problems: list[Problem]) -> None:
    if session.as_json:
        return
    if not problems:
        session.say(f"{name}: holds together", "green")
        return
    session.say(f"{name}: {len(problems)} problem{'s' if len(problems) > 1 else ''}", "red")
    for problem in problems:
        session.say(f"  {_shown(folder)}/{problem}")


def _noted(note: str | None) -> dict[str, JsonValue]:
    return {} if note is None else {"notes": [note]}


def _shown(folder: Path) -> Path:
    """Return a folder as a person names it from here."""
    here = Path.cwd()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder


def _as_json(name: str, folder: Path, problems: list[Problem]) -> dict[str, JsonValue]:
    return {
        "run_id": name,
        "path": str(folder),
        "problems": [{"file": item.file, "line": item.line, "what": item.what} for item in problems],
    }
