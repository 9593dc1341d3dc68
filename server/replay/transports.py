"""Speak to a server with the SDK's own client, one call after the other, as plain function calls."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from anyio.from_thread import start_blocking_portal
from mcp import Client, StdioServerParameters
from mcp.server import MCPServer
from mcp.types import CallToolResult, ElicitResult, Implementation, TextContent
from pydantic import JsonValue

from stagewright.server.app import make_server
from stagewright.server.loopback_http import loopback_http
from stagewright.server.replay.ways import Era, Transport
from stagewright.tools.replay.cassette import Cassette, Person
from stagewright.tools.replay.play import Answered, Send
from stagewright.tools.workspace import Workspace

__all__ = ["serve_command", "speaking"]

READ_TIMEOUT_S = 4000.0


@contextmanager
def speaking(
    cassette: Cassette, workspace: Workspace, transport: Transport, era: Era, command: list[str]
) -> Iterator[Send]:
    """Give a function that makes one call through a client of its own.

    Parameters
    ----------
    workspace
        What a server in this process serves, for `in-process` and `http`.
    command
        Starts a server of the same workspace, for `stdio`.
    """
    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal())
        person = _Person()
        asked: dict[str, Any] = {"elicitation_callback": person} if _any_person(cassette) else {}
        who = Implementation(name=cassette.header.client.name, version=cassette.header.client.version or "0")
        server = _server(stack, workspace, transport, command)
        made = Client(server, mode=era, client_info=who, read_timeout_seconds=READ_TIMEOUT_S, **asked)
        client = stack.enter_context(portal.wrap_async_context_manager(made))

        def send(
            tool: str, arguments: dict[str, JsonValue], answer: Person | None, at_work: Callable[[], None]
        ) -> Answered:
            async def progressed(progress: float, total: float | None, message: str | None) -> None:
                del progress, total, message
                at_work()

            async def called() -> CallToolResult:
                return await client.call_tool(tool, arguments, progress_callback=progressed)

            person.answer = answer
            return _answered(portal.call(called))

        yield send


def _server(
    stack: ExitStack, workspace: Workspace, transport: Transport, command: list[str]
) -> MCPServer[None] | StdioServerParameters | str:
    if transport == "stdio":
        return StdioServerParameters(command=command[0], args=command[1:], cwd=workspace.root)
    served = make_server(workspace)
    return stack.enter_context(loopback_http(served)) if transport == "http" else served


def serve_command(root: Path, policy: Path | None) -> list[str]:
    """Return what starts the server that a client's configuration starts."""
    given = [] if policy is None else ["--policy", str(policy.resolve())]
    return [sys.executable, "-P", "-m", "stagewright.server", "serve", "--root", str(root), *given]


class _Person:
    """Whoever sits at the client: answers the form as it was answered in the record, and closes it where it was not."""

    def __init__(self) -> None:
        self.answer: Person | None = None

    async def __call__(self, _context: object, _asked: object) -> ElicitResult:
        if self.answer is None or self.answer.said == "undecided":
            return ElicitResult(action="cancel")
        if self.answer.said == "declined":
            return ElicitResult(action="decline")
        return ElicitResult(action="accept", content={"approve": True, "reason": self.answer.reason})


def _any_person(cassette: Cassette) -> bool:
    return any(call.person is not None for call in cassette.calls)


def _answered(result: CallToolResult) -> Answered:
    text = "\n".join(part.text for part in result.content if isinstance(part, TextContent))
    facts = result.structured_content
    return Answered(structured=dict(facts or {}), text=text, refused=bool(result.is_error))
