"""A real server process on standard input and output, spoken to with the SDK's own client."""

import functools
import json
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest
from mcp import Client, StdioServerParameters

from stagewright.tools import Workspace

Script = Callable[[Client], Awaitable[Any]]


@pytest.fixture
def server(workspace: Workspace) -> StdioServerParameters:
    """Return how a client starts the server, from a folder that holds a trap: a room of ours that is not ours."""
    folder = workspace.root / "agents_folder"
    (folder / "stagewright").mkdir(parents=True)
    (folder / "stagewright" / "__init__.py").write_text("raise RuntimeError('the wrong package')\n")
    arguments = ["-P", "-m", "stagewright.server", "serve", "--root", str(workspace.root)]
    return StdioServerParameters(command=sys.executable, args=arguments, cwd=folder)


@pytest.fixture
def speak(server: StdioServerParameters) -> Callable[..., Any]:
    """Return a function that starts a server, runs a client's script against it, and ends both."""

    def spoken(mode: str, script: Script, **options: Any) -> Any:  # noqa: ANN401 - the client's; what the script returns
        async def session() -> Any:  # noqa: ANN401 - as above
            async with Client(server, mode=mode, **options) as client:
                return await script(client)

        return anyio.run(session)

    return spoken


async def asked(client: Client, tool: str, **arguments: object) -> dict[str, Any]:
    """Make a call that must succeed and return its structured content."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert isinstance(result.structured_content, dict)
    return result.structured_content


@pytest.fixture
def ask() -> Callable[..., Awaitable[dict[str, Any]]]:
    """Return the function that makes a call that must succeed."""
    return asked


def pids(root: Path, *words: str) -> list[int]:
    """Return the processes of a root whose command line has all the words."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        line = process.info["cmdline"] or []
        if any(str(root) in word for word in line) and all(any(word in part for part in line) for word in words):
            found.append(process.pid)
    return found


@pytest.fixture
def processes(workspace: Workspace) -> Callable[..., list[int]]:
    """Return a function that gives the pids of the root's processes with some words in their command lines."""
    return functools.partial(pids, workspace.root)


@pytest.fixture
def ledger_events(workspace: Workspace) -> Callable[[str], list[str]]:
    """Return a function that gives the kinds of a run's ledger entries in order, as any program could read them."""

    def kinds(run_id: str) -> list[str]:
        log = workspace.root / "experiments" / run_id / "logs" / "agent_run.log"
        return [json.loads(line)["event"] for line in log.read_text(encoding="utf-8").splitlines()]

    return kinds


@pytest.fixture(autouse=True)
def _no_process_stays(tmp_path: Path) -> Iterator[None]:
    """End what a failed test left running, by the folder that it works in."""
    yield
    for pid in pids(tmp_path):
        psutil.Process(pid).kill()
