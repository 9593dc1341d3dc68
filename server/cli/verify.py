"""``stagewright verify``: say whether the record of a run holds together, and where it does not."""

from pathlib import Path
from typing import Annotated

import typer
from pydantic import JsonValue

from stagewright.server.cli.exit_status import ExitStatus
from stagewright.server.cli.options import AsJson, PolicyFile, Root
from stagewright.server.cli.session import Session, open_session
from stagewright.state.chain import Problem
from stagewright.state.run_directory import EXPERIMENTS, RunDirectory, list_runs
from stagewright.tools.verify_root import verify_root_log
from stagewright.tools.verify_run import check_run

__all__ = ["verify"]

PROVES = (
    "What holds was not changed since it was written, as far as its own record can tell. A directory that was "
    "rewritten as a whole, with every log, head and digest made anew, holds together too: keep what "
    "`stagewright receipt` prints somewhere else, and verify against it with --receipt."
)


def verify(
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN|ROOT",
            help="A run: its id, a unique prefix of it, or its directory; or a folder with experiments/",
        ),
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
    if run is not None and (Path(run) / EXPERIMENTS).is_dir():
        root, run = Path(run), None
    with open_session(root, policy, as_json=as_json) as session:
        runs = list(list_runs(session.workspace.root)) if run is None else [_named(session, run)]
        found: list[dict[str, JsonValue]] = []
        for one in runs:
            checked = check_run(one)
            found.append(_told(session, one.run_id, one.path, checked.problems, checked.notes))
        if run is None:
            of_root = verify_root_log(session.workspace.root)
            if of_root is not None:
                found.append(_told(session, EXPERIMENTS, session.workspace.root / EXPERIMENTS, of_root, []))
        held = not any(item["problems"] for item in found)
        if session.as_json:
            session.write_json({"runs": [*found], "proves": PROVES if found and held else None})
        elif not found:
            session.say("There is no run under this root.")
        elif held:
            session.say(PROVES)
        if not held:
            raise typer.Exit(ExitStatus.FAILED)


def _named(session: Session, run: str) -> RunDirectory:
    """Return the run that is meant; a directory whose ledger is gone can still be named by its path."""
    folder = Path(run)
    return RunDirectory(folder.resolve()) if (folder / "logs").is_dir() else session.workspace.run(run)


def _told(session: Session, name: str, folder: Path, problems: list[Problem], notes: list[str]) -> dict[str, JsonValue]:
    """Say what was found of one run, and return it as JSON says it."""
    if not session.as_json:
        _say(session, name, folder, problems, notes)
    return {
        "run_id": name,
        "path": str(folder),
        "problems": [
            {"file": item.file, "line": item.line, "what": item.what, "since": item.since} for item in problems
        ],
        "notes": [*notes],
    }


def _say(session: Session, name: str, folder: Path, problems: list[Problem], notes: list[str]) -> None:
    if problems:
        session.say(f"{name}: {len(problems)} problem{'s' if len(problems) > 1 else ''}", "red")
    else:
        session.say(f"{name}: holds together", "green")
    for problem in problems:
        session.say(f"  {_shown(folder)}/{problem}")
    for note in notes:
        session.say(f"  note: {note}")


def _shown(folder: Path) -> Path:
    """Return a folder as a person names it from here."""
    here = Path.cwd()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder
