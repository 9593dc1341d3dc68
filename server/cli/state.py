"""``stagewright state``: read a run, or list the runs."""

from pathlib import Path
from typing import Annotated

import typer

from stagewright.server.cli.options import AsJson, PolicyFile, Root
from stagewright.server.cli.session import open_session
from stagewright.tools.views import View

__all__ = ["state"]


def state(
    run: Annotated[
        str | None,
        typer.Argument(metavar="[RUN]", help="A run: its id, a unique prefix of it, or its path. None lists the runs."),
    ] = None,
    *,
    view: Annotated[View, typer.Option("--view", help="What to read of it.")] = "summary",
    cursor: Annotated[str | None, typer.Option("--cursor", help="next_cursor of the page before.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=200, help="Items on a page.")] = 10,
    wait: Annotated[float, typer.Option("--wait", min=0, help="Wait so many seconds for something to change.")] = 0.0,
    root: Root = Path(),
    policy: PolicyFile = None,
    as_json: AsJson = False,
) -> None:
    """Read a run, a page at a time, or list the runs. Changes nothing."""
    with open_session(root, policy, as_json=as_json) as session:
        arguments = {"run_id": run, "view": view, "cursor": cursor, "limit": limit, "wait_s": wait or None}
        session.show(session.call("read_state", arguments))
