"""``stagewright replay``: send recorded calls through a real server and compare every answer."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from pydantic import JsonValue

from stagewright.server.cli.exit_status import ExitStatus
from stagewright.server.cli.options import AsJson, PolicyFile, Root
from stagewright.server.cli.session import Session, open_session
from stagewright.server.config import find_policy
from stagewright.server.replay.report import report_lines, title_of
from stagewright.server.replay.ways import ERAS, Era, Replay, Transport, Way, era_of
from stagewright.state.snapshot import write_atomically
from stagewright.tools.replay.cassette_file import read_cassette, write_cassette
from stagewright.tools.replay.play import STAGES, Stages

__all__ = ["replay"]


def replay(  # noqa: PLR0913 - one option for each way
    cassettes: Annotated[
        list[Path], typer.Argument(metavar="CASSETTE...", exists=True, help="Files, or folders of *.jsonl files.")
    ],
    *,
    stages: Annotated[
        str,
        typer.Option("--stages", help="recorded: outcomes are played back, in a second. rerun: the stages run again."),
    ] = "recorded",
    stdio: Annotated[bool, typer.Option("--stdio", help="Through a server over standard input and output.")] = False,
    http: Annotated[bool, typer.Option("--http", help="Through a server over HTTP, on a free local port.")] = False,
    era: Annotated[
        str | None,
        typer.Option("--era", help="legacy (2025-11-25), 2026-07-28 or both.", show_default="that of the record"),
    ] = None,
    update: Annotated[bool, typer.Option("--update", help="Write the new answers into the cassette.")] = False,
    data: Annotated[
        Path | None, typer.Option("--data", dir_okay=False, help="For rerun: the data file of the record.")
    ] = None,
    into: Annotated[
        Path | None, typer.Option("--into", file_okay=False, help="Replay in this empty folder, and keep it.")
    ] = None,
    root: Root = Path(),
    policy: PolicyFile = None,
    as_json: AsJson = False,
) -> None:
    """Send recorded calls through a server on a fresh root and compare each reply. 1 when one differs."""
    files, chosen = [*_files(cassettes)], _stages(stages)
    transport = _transport(stdio=stdio, http=http)
    if era not in (None, "both", *ERAS):
        raise typer.BadParameter(f"{era!r} is none of {', '.join(ERAS)}, both", param_hint="--era")
    if not files:
        raise typer.BadParameter("there is no *.jsonl file there", param_hint="CASSETTE")
    if into is not None and (len(files) > 1 or era == "both"):
        raise typer.BadParameter("one folder takes one replay", param_hint="--into")
    rules = find_policy(root, policy) if chosen == "rerun" else None
    with open_session(root, rules, as_json=as_json) as session:
        found: list[JsonValue] = []
        differs = False
        for file in files:
            for one in _eras(file, era):
                done = _replayed(session, file, Way(chosen, transport, one, data, rules, into, root.resolve()))
                differs |= done.differs
                found.append(_as_json(file, done))
                _say(session, file, done)
                if update and done.differs:
                    _update(file, done)
                    session.err.print(f"{file} has the new answers now; look at the difference before you commit it.")
        if session.as_json:
            session.write_json({"cassettes": found})
        if differs and not update:
            raise typer.Exit(ExitStatus.FAILED)


def _stages(given: str) -> Stages:
    for one in STAGES:
        if one == given:
            return one
    raise typer.BadParameter(f"{given!r} is none of {', '.join(STAGES)}", param_hint="--stages")


def _transport(*, stdio: bool, http: bool) -> Transport:
    if stdio and http:
        raise typer.BadParameter("give one of --stdio and --http", param_hint="--http")
    return "stdio" if stdio else "http" if http else "in-process"


def _files(given: list[Path]) -> Iterator[Path]:
    for path in given:
        yield from sorted(path.rglob("*.jsonl")) if path.is_dir() else [path]


def _eras(file: Path, asked: str | None) -> list[Era]:
    if asked is None:
        return [era_of(read_cassette(file))]
    return [one for one in ERAS if asked in (one, "both")]


def _replayed(session: Session, file: Path, way: Way) -> Replay:
    from stagewright.server.replay.replay_cassette import replay as replaying  # loads the protocol

    done: Replay | None = None
    with session.err.status(f"{file.name} ...") as status:
        for done in replaying(file, way):
            status.update(f"{file.name}: {len(done.calls)} of {len(done.cassette.calls)} calls")
    if done is None:
        raise RuntimeError("a replay ended without a result")
    return done


def _update(file: Path, done: Replay) -> None:
    from stagewright.server.replay.replay_cassette import updated

    write_atomically(file, write_cassette(updated(done)))


def _say(session: Session, file: Path, done: Replay) -> None:
    if session.as_json:
        return
    session.say(title_of(file.name, done), "red" if done.differs else "green")
    for line in report_lines(done):
        session.say(f"  {line}")


def _as_json(file: Path, done: Replay) -> JsonValue:
    return {
        "cassette": str(file),
        "note": done.cassette.header.note,
        "stages": done.way.stages,
        "transport": done.way.transport,
        "era": done.way.era,
        "calls": len(done.calls),
        "differences": [
            {"call": call.number, "tool": call.frame.tool, **asdict(one)}
            for call in done.calls
            for one in call.differences
        ],
        "problems": [str(problem) for problem in done.problems],
        "notes": [*done.notes],
    }
