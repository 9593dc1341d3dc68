"""One command at work: its workspace, how it calls a tool, and how it says replies, refusals and interruptions."""

import getpass
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import typer
from pydantic import JsonValue
from rich.console import Console

from stagewright import __version__
from stagewright.server.cli.exit_status import ExitStatus
from stagewright.server.cli.next_command import next_command, refusal_text
from stagewright.server.cli.typed_command import TypedCommand
from stagewright.server.config import open_workspace
from stagewright.state.refusals import LedgerCorrupt, Refusal
from stagewright.tools.call import Caller, call_tool, complete
from stagewright.tools.replies import Reply, Tick
from stagewright.tools.workspace import Workspace

__all__ = ["Session", "open_session"]

CALLER = Caller(client="stagewright-cli", version=__version__)


@dataclass(slots=True)
class Session:
    """What a command works with.

    Attributes
    ----------
    as_json
        Whether standard output is for a program.
    out, err
        Consoles on standard output and standard error.
    typed
        Writes commands that work as pasted.
    if_interrupted
        What a person who presses Ctrl-C now has to know.
    """

    workspace: Workspace
    as_json: bool
    typed: TypedCommand = field(default_factory=TypedCommand)
    out: Console = field(default_factory=lambda: Console(highlight=False, markup=False, emoji=False, soft_wrap=True))
    err: Console = field(
        default_factory=lambda: Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)
    )
    if_interrupted: str = "Nothing was changed."

    def call(
        self, tool: str, arguments: Mapping[str, JsonValue], on_tick: Callable[[Tick], None] | None = None
    ) -> Reply:
        """Call a tool, wait for its reply, and have the call recorded.

        Raises
        ------
        Refusal
            When the rules do not allow the call.
        """
        given = {name: value for name, value in arguments.items() if value is not None}
        call = call_tool(self.workspace, tool, given, CALLER)
        if on_tick is not None or not self.err.is_terminal:
            return complete(call, on_tick)
        with self.err.status("...") as status:
            return complete(call, lambda tick: status.update(tick.message))

    def show(self, reply: Reply) -> None:
        """Write a reply: as JSON, or as text with the next call as a command."""
        if self.as_json:
            self.write_json(reply.model_dump(mode="json", exclude_none=True))
            return
        self.say(self.typed.in_text(reply.model_copy(update={"next": None}).text()))
        if reply.next is not None:
            self.say(f"Next: {next_command(reply.next, self.typed, reply.status)}")

    def say(self, text: str, style: str | None = None) -> None:
        """Write text for a person to standard output."""
        self.out.print(text, style=style)

    def write_json(self, value: JsonValue) -> None:
        """Write one JSON value to standard output."""
        sys.stdout.write(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")


@contextmanager
def open_session(root: Path, policy: Path | None, *, as_json: bool) -> Iterator[Session]:
    """Give a session for the length of the `with` block, and end the command as the contract says.

    A refusal is text on standard error, or JSON on standard output, and status 3: never a traceback.
    """
    session: Session | None = None
    typed = TypedCommand(root, policy)
    try:
        session = Session(open_workspace(root, policy, actor=f"person:{_user()}", trusted=True), as_json, typed)
        yield session
    except Refusal as refusal:
        _say_refused(refusal, typed, as_json=as_json)
        raise typer.Exit(ExitStatus.REFUSED) from refusal
    except LedgerCorrupt as error:
        damaged = Refusal(
            "damaged",
            f"the record does not hold together: {error}. `stagewright verify --all` names every damaged file.",
        )
        _say_refused(damaged, typed, as_json=as_json)
        raise typer.Exit(ExitStatus.REFUSED) from error
    except BrokenPipeError:
        raise  # whoever read the output has gone
    except OSError as error:
        full = Refusal(
            "storage",
            f"the disk did not take or give what it was asked for: {error}. Nothing was acknowledged; free space or "
            "mend the permissions, then give the same command again.",
        )
        _say_refused(full, typed, as_json=as_json)
        raise typer.Exit(ExitStatus.REFUSED) from error
    except KeyboardInterrupt as interrupt:
        said = "Nothing was changed." if session is None else session.if_interrupted
        sys.stderr.write(f"\nInterrupted. {said}\n")
        raise typer.Exit(ExitStatus.INTERRUPTED) from interrupt


def _say_refused(refusal: Refusal, typed: TypedCommand, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(refusal.facts(), ensure_ascii=False) + "\n")
    else:
        sys.stderr.write(f"{refusal_text(refusal, typed)}\n")


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no name in the environment and none for this uid
        return "unknown"
