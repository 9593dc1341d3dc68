"""``stagewright export-crate``: a run with its provenance as an RO-Crate, for a reviewer or a repository."""

from pathlib import Path
from typing import Annotated

import typer
from pydantic import JsonValue

from stagewright.server.cli.options import AsJson, PolicyFile, Root, RunName
from stagewright.server.cli.session import open_session
from stagewright.state.units import format_bytes, parse_bytes
from stagewright.tools.crate.preview import PREVIEW
from stagewright.tools.export_crate import Author, Exported, parse_author
from stagewright.tools.export_crate import export_crate as exporting
from stagewright.tools.privacy.raw_ids import privacy_note

__all__ = ["export_crate"]

SHOWN = 5


def export_crate(
    run: RunName,
    *,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="A new folder, or a new file ending in .zip.", show_default="RUN.crate.zip here"),
    ] = None,
    up_to: Annotated[
        str,
        typer.Option(
            "--up-to",
            help="Copy sealed files up to this size; larger ones, such as embeddings, are named with size and sha256.",
        ),
    ] = "20MB",
    license_: Annotated[
        str | None,
        typer.Option("--license", help="Of the crate: an address, an SPDX identifier such as CC-BY-4.0, or words."),
    ] = None,
    author: Annotated[
        list[str] | None,
        typer.Option("--author", help="'Name' or 'Name <ORCID>'; may be repeated."),
    ] = None,
    root: Root = Path(),
    policy: PolicyFile = None,
    as_json: AsJson = False,
) -> None:
    """Export a run as a Workflow Run RO-Crate (Provenance Run Crate 0.5), with a page for people.

    It holds the spec, the manifest, the logs, what each attempt left, and the sealed results, each with its sha256, and
    names who did what when. Never the data file, the unit cache, or results of attempts that were replaced. The logs
    and results name patients as the run does. Works for a run in any status while no step of it runs; refused where
    `stagewright verify` finds a problem. Needs the extra: pip install 'stagewright[crate]'.
    """
    try:
        largest = parse_bytes(up_to)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--up-to") from error
    authors = tuple(_author(text) for text in author or ())
    with open_session(root, policy, as_json=as_json) as session:
        meant = session.workspace.run(run)
        run_id = meant.run_id
        place = Path(f"{run_id}.crate.zip") if out is None else out
        made = exporting(
            session.workspace, run, place.absolute(), largest_bytes=largest, licence=license_, authors=authors
        )
        if session.as_json:
            session.write_json({"run_id": run_id, **_as_json(made)})
            return
        session.say(f"Wrote {place}: {made.files} files, {format_bytes(made.bytes)}.", "green")
        if made.left_out:
            size = format_bytes(sum(file.bytes for file in made.left_out))
            session.say(f"{len(made.left_out)} sealed files above {up_to} ({size}) are named and not copied:")
            for file in made.left_out[:SHOWN]:
                session.say(f"  {file.path} ({format_bytes(file.bytes)})")
            if len(made.left_out) > SHOWN:
                session.say(f"  and {len(made.left_out) - SHOWN} more")
        if license_ is None:
            session.say("No licence was stated; a repository will ask for one: --license CC-BY-4.0")
        if (note := privacy_note(session.workspace, meant)) is not None and note.alarming:
            session.say(f"Before you pass it on: {note.said()}", "yellow")
        session.say(f"To read it, open {PREVIEW} in it.")


def _as_json(made: Exported) -> dict[str, JsonValue]:
    left: list[JsonValue] = []
    for file in made.left_out:
        left.append({"path": file.path, "bytes": file.bytes, "sha256": file.sha256})  # noqa: PERF401 - JSON's own types
    return {"crate": str(made.place), "files": made.files, "bytes": made.bytes, "left_out": left}


def _author(text: str) -> Author:
    try:
        return parse_author(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--author") from error
