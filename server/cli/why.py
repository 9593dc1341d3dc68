"""``stagewright why``: why a step or a unit of work ran, was reused, blocked or refused."""

from pathlib import Path
from typing import Annotated

import typer

from stagewright.server.cli.options import AsJson, PolicyFile, Root, RunName
from stagewright.server.cli.session import open_session
from stagewright.server.cli.why_lines import why_lines
from stagewright.tools.why_of import why_of

__all__ = ["why"]

PLAIN_WIDTH = 80


def why(
    run: RunName,
    subject: Annotated[
        str,
        typer.Argument(
            metavar="STEP|UNIT",
            help="A step, such as B/plan1a, or a unit of work, such as hvg_3000/nmf/cv, or a part of its name.",
        ),
    ],
    *,
    root: Root = Path(),
    policy: PolicyFile = None,
    as_json: AsJson = False,
) -> None:
    """Tell from the record why a step or a unit of work ran, was reused, blocked or refused."""
    with open_session(root, policy, as_json=as_json) as session:
        answer = why_of(session.workspace, run, subject)
        if session.as_json:
            session.write_json(answer.model_dump(mode="json", exclude_none=True))
            return
        width = session.out.width if session.out.is_terminal else PLAIN_WIDTH
        for text, style in why_lines(answer, max(60, width)):
            session.say(text, style)
