"""``stagewright reproduce``: execute a recorded run once more and say what comes out differently."""

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer
from pydantic import JsonValue

from stagewright.server.cli.exit_status import ExitStatus
from stagewright.server.cli.options import AsJson, PolicyFile, Root, RunName
from stagewright.server.cli.reproduction_lines import result_lines, step_lines
from stagewright.server.cli.session import Session, open_session
from stagewright.server.cli.step_display import StepDisplay
from stagewright.server.cli.warn_of_damage import warn_of_damage
from stagewright.tools.replies import Tick
from stagewright.tools.reproduce.report import Reproduction, StepComparison
from stagewright.tools.reproduce.reproduce_run import Wish, reproduce_run

__all__ = ["reproduce"]


def reproduce(
    run: RunName,
    *,
    into: Annotated[
        Path | None,
        typer.Option(
            "--into", help="An empty folder in which the reproduction is kept.", show_default="a temporary one"
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, help="Units side by side.", show_default="as the spec says"),
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="Where the sealed data lie now, if not where the run had them.")
    ] = None,
    upto: Annotated[
        str | None, typer.Option("--upto", metavar="STEP|CHECKPOINT", help="End there, e.g. A or B/plan1a.")
    ] = None,
    root: Root = Path(),
    policy: PolicyFile = None,
    as_json: AsJson = False,
) -> None:
    """Execute the sealed spec and the recorded decisions of a run again on the same data. 1 if anything differs."""
    with open_session(root, policy, as_json=as_json) as session:
        session.if_interrupted = "The reproduction was ended and removed. The run itself is only ever read."
        warn_of_damage(session, session.workspace.run(run), "what is there is compared")
        found = _reproduced(session, run, Wish(into, workers, data, upto))
        if session.as_json:
            session.write_json(_as_json(found))
        else:
            for text, style in result_lines(found):
                session.say(text, style)
        if not found.equal:
            raise typer.Exit(ExitStatus.FAILED)


def _reproduced(session: Session, run: str, wish: Wish) -> Reproduction:
    with (
        StepDisplay(session.err) as display,
        closing(reproduce_run(session.workspace, session.workspace.run(run), wish)) as work,
    ):
        for item in work:
            if isinstance(item, Tick):
                display.tick(item)
            elif isinstance(item, StepComparison):
                for text, style in () if session.as_json else step_lines(item):
                    session.say(text, style)
            else:
                return item
    raise RuntimeError("the work ended without a result")


def _as_json(found: Reproduction) -> dict[str, JsonValue]:
    return found.model_dump(mode="json") | {"equal": found.equal, "n_differences": found.n_differences}
