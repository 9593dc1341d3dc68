"""``stagewright export-calls``: write what was called in a run as a portable cassette."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from stagewright.server.cli.options import AsJson, PolicyFile, Root
from stagewright.server.cli.session import open_session
from stagewright.server.cli.warn_of_damage import warn_of_damage
from stagewright.state.run_directory import list_runs
from stagewright.state.snapshot import write_atomically
from stagewright.tools.replay.cassette_file import write_cassette
from stagewright.tools.replay.export_calls import export_calls as export

__all__ = ["export_calls"]


def export_calls(
    run: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="A run: its id, a unique prefix of it, or the path of its directory."),
    ] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Every run under the root, and the root's own log.")] = False,
    with_root: Annotated[
        bool, typer.Option("--with-root-log", help="Also the calls that named no run: refused plans, lists of runs.")
    ] = False,
    note: Annotated[str, typer.Option("--note", help="What the cassette shows, for its reader.")] = "",
    out: Annotated[
        Path | None, typer.Option("--out", dir_okay=False, help="A file.", show_default="standard output")
    ] = None,
    root: Root = Path(),
    policy: PolicyFile = None,
    as_json: AsJson = False,
) -> None:
    """Write the recorded calls of a run as a cassette for `stagewright replay`, without ids, paths and secrets."""
    if (run is None) != every:
        raise typer.BadParameter("name one run, or give --all", param_hint="RUN")
    with open_session(root, policy, as_json=as_json) as session:
        workspace = session.workspace
        runs = list(list_runs(workspace.root)) if run is None else [workspace.run(run)]
        place = workspace.root if run is None else runs[0].path.parent.parent  # a run that was named by its folder
        for one in runs:
            warn_of_damage(session, one, "the cassette is made of what is there")
        cassette = export(place, runs, with_root=every or with_root, note=note)
        text = write_cassette(cassette)
        if out is None:
            sys.stdout.write(text)
            return
        write_atomically(out, text)
        if session.as_json:
            session.write_json({"cassette": str(out), "calls": len(cassette.calls)})
        else:
            session.say(f"Wrote {len(cassette.calls)} calls to {out}.")
