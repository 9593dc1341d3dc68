"""Options and arguments that several commands share."""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

__all__ = ["AsJson", "PolicyFile", "Root", "RunName"]

Root: TypeAlias = Annotated[
    Path,
    typer.Option("--root", exists=True, file_okay=False, help="The folder that holds experiments/."),
]

PolicyFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--policy",
        exists=True,
        dir_okay=False,
        show_default="stagewright.toml of the root",
        help="The operator's policy.",
    ),
]

AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Answer in JSON on standard output.")]

RunName: TypeAlias = Annotated[
    str,
    typer.Argument(metavar="RUN", help="A run: its id, a unique prefix of it, or the path of its directory."),
]
