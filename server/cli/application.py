"""The typer application. It imports the module of the command that is asked for, and all of them only for help."""

import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Annotated

import typer

from stagewright import __version__
from stagewright.server.cli import COMMANDS

__all__ = ["make_application", "run_application"]

PASS_THROUGH = {"allow_extra_args": True, "ignore_unknown_options": True}


def run_application(words: Sequence[str]) -> int:
    """Run one command and return its exit status; a wrong usage is 2."""
    named = words[:1] if words and words[0] in COMMANDS else COMMANDS
    try:
        make_application(named)(args=list(words), prog_name="stagewright")
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else 0
    return 0


def make_application(commands: Iterable[str]) -> typer.Typer:
    """Return an application with these commands; each is the function of its own name in its own module.

    Where a command's name has a hyphen, those of its module and function have an underscore.
    """
    application = typer.Typer(
        name="stagewright",
        help="Run long single-cell studies one checked step at a time.",
        epilog="Exit status: 0 done, 1 a gate or check failed, 2 usage, 3 refused, 4 blocked.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    application.callback()(_options)
    for name in commands:
        if name == "serve":
            application.command(name, context_settings=PASS_THROUGH, add_help_option=False)(_serve)
        else:
            module = name.replace("-", "_")
            application.command(name)(getattr(import_module(f"stagewright.server.cli.{module}"), module))
    return application


def _say_version(wanted: bool) -> None:  # noqa: FBT001 - typer hands the value of the option over so
    if wanted:
        sys.stdout.write(f"stagewright {__version__}\n")
        raise typer.Exit


def _options(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_say_version, is_eager=True, help="Print the version and leave."),
    ] = False,
) -> None:
    """Do nothing: the one option acts by itself."""
    del version


def _serve(context: typer.Context) -> None:
    """Serve the five tools to an MCP client over standard input and output."""
    from stagewright.server.cli.serve import serve

    raise typer.Exit(serve(context.args))
