"""``stagewright reproduce``: execute a run's record once more on the same data, and say what differs."""

import getpass
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from stagewright.server.cli.exit_status import ExitStatus
from stagewright.server.cli.options import AsJson, PolicyFile, Root, RunName
from stagewright.server.cli.reproduction_lines import reproduction_lines
from stagewright.server.cli.session import Session, open_session
from stagewright.server.cli.step_display import StepDisplay
from stagewright.state.refusals import Refusal
from stagewright.tools.replies import Tick
from stagewright.tools.reproduce.reproduce_run import Reproduction, reproduce_run
from stagewright.tools.workspace import Workspace

__all__ = ["reproduce"]


def reproduce(
    run: RunName,
    *,
    into: Annotated[
        Path | None, typer.Option("--into", file_okay=False, help="Work in this empty folder, and keep it.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Units side by side; no result depends on it.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", exists=True, help="The data file, if it does not lie where it lay.")
    ] = None,
    upto: Annotated[
        str | None, typer.Option("--upto", metavar="STEP", help="The last step, B/plan0, or checkpoint, B, to execute.")
    ] = None,
    root: Root = Path(),
    policy: PolicyFile = None,
    as_json: AsJson = False,
) -> None:
    """Execute a run's sealed spec and decisions again on the same data; report each difference. 1 if there is one."""
    with open_session(root, policy, as_json=as_json) as session:
        recorded = session.workspace.run(run)
        with _fresh(into) as folder:
            person = f"person:{getpass.getuser()}"
            given = session.workspace.policy
            caps = given.caps.model_copy(update={"workers": max(given.caps.workers, workers or 1)})
            workspace = Workspace(folder, given.model_copy(update={"caps": caps}), actor=person, trusted=True)
            session.if_interrupted = "The run that was reproduced is as it was."
            found = _found(session, reproduce_run(recorded, workspace, data=data, workers=workers, upto=upto))
        if session.as_json:
            session.write_json(found.model_dump(mode="json") | {"differs": found.differs})
        else:
            for text, style in reproduction_lines(found, kept=into is not None):
                session.say(text, style)
        if found.differs:
            raise typer.Exit(ExitStatus.FAILED)


def _found(session: Session, work: Iterator[Tick | Reproduction]) -> Reproduction:
    with StepDisplay(session.err) as display:
        for item in work:
            if isinstance(item, Reproduction):
                return item
            display.tick(item)
    raise RuntimeError("the work ended without a result")


@contextmanager
def _fresh(into: Path | None) -> Iterator[Path]:
    if into is None:
        with tempfile.TemporaryDirectory(prefix="stagewright-reproduce-") as folder:
            yield Path(folder).resolve()
        return
    if into.exists() and any(into.iterdir()):
        raise Refusal("invalid_argument", f"--into {into} is not empty; give a new or an empty folder")
    into.mkdir(parents=True, exist_ok=True)
    yield into.resolve()
