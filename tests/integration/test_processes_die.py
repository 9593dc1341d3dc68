"""Servers, supervisors and clients go away in the middle of a stage; the stage and the record do not."""

import os
import signal
import time
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import psutil
import pytest
from mcp import Client, MCPError

from stagewright.tools import Workspace

Speak = Callable[[str, Callable[[Client], Awaitable[Any]]], Any]
Ask = Callable[..., Awaitable[dict[str, Any]]]
Plan = Callable[..., str]
Processes = Callable[..., list[int]]
Events = Callable[[str], list[str]]
pytestmark = pytest.mark.usefixtures("look_here")
ERAS = ["legacy", pytest.param("2026-07-28", marks=pytest.mark.slow)]
ONE_ATTEMPT = ["run_planned", "attempt_started", "attempt_finished"]


def wait_until(holds: Callable[[], object], within_s: float = 20.0) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def started(speak: Speak, ask: Ask, plan: Plan, workspace: Workspace) -> str:
    """Start a stage that waits, through a server that ends well while it runs; give the run's id."""
    run_id = plan("waits")

    async def script(client: Client) -> None:
        assert (await ask(client, "execute_stage", run_id=run_id, wait_s=0))["status"] == "running"

    speak("auto", script)
    wait_until((workspace.root / "pid").exists)
    return run_id


async def wait_and_let_go(client: Client, workspace: Workspace, run_id: str) -> dict[str, Any]:
    """Attach to the stage, and only then let it go on; return the reply."""

    async def let_go(progress: float, total: float | None, message: str | None) -> None:  # noqa: ARG001 - as called
        (workspace.root / "go").touch()

    arguments = {"run_id": run_id, "wait_s": 30}
    result = await client.call_tool("execute_stage", arguments, progress_callback=let_go)
    assert not result.is_error, result.content
    return dict(result.structured_content)


def finish(speak: Speak, workspace: Workspace, run_id: str) -> dict[str, Any]:
    """Bring a waiting stage to its end through a new server."""

    async def script(client: Client) -> dict[str, Any]:
        return await wait_and_let_go(client, workspace, run_id)

    return dict(speak("legacy", script))


async def until(holds: Callable[[], object]) -> None:
    """Wait until something that another process does has happened."""
    with anyio.fail_after(20):
        while not holds():  # noqa: ASYNC110 - a file is all that the other process tells
            await anyio.sleep(0.02)


def test_a_stage_outlives_a_server_that_ends_well(
    started: str, speak: Speak, workspace: Workspace, ledger_events: Events
) -> None:
    """The client closed the connection; the next one finds the stage at work."""
    reply = finish(speak, workspace, started)
    assert (reply["status"], reply["attempt"]) == ("executed", 1)
    assert ledger_events(started) == ONE_ATTEMPT


def test_a_stage_outlives_a_killed_server(
    speak: Speak, plan: Plan, workspace: Workspace, processes: Processes, ledger_events: Events
) -> None:
    """Kill -9 of the server while a call waits: the stage finishes once, and a new server returns it."""
    run_id = plan("waits")

    async def script(client: Client) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(kill_server)
            with pytest.raises(MCPError):
                await client.call_tool("execute_stage", {"run_id": run_id, "wait_s": 30})

    async def kill_server() -> None:
        await until((workspace.root / "pid").exists)
        (server,) = processes("stagewright.server")
        os.kill(server, signal.SIGKILL)

    speak("legacy", script)
    assert not processes("stagewright.server")
    assert processes("supervise")
    reply = finish(speak, workspace, run_id)
    assert (reply["status"], reply["attempt"]) == ("executed", 1)
    assert ledger_events(run_id) == ONE_ATTEMPT
    assert (workspace.root / "ran.txt").read_text().split() == ["A/waits"]


def test_a_killed_supervisor_is_seen_and_recorded(
    started: str, speak: Speak, ask: Ask, workspace: Workspace, processes: Processes, ledger_events: Events
) -> None:
    """Its worker dies with it; reading changes nothing; the next execute_stage records the loss and goes on."""
    worker, command = processes("stagewright.stages", "work")[0], int((workspace.root / "pid").read_text())
    (supervisor,) = processes("supervise")
    os.kill(supervisor, signal.SIGKILL)
    wait_until(lambda: not alive(worker) and not alive(command), within_s=5)
    (workspace.root / "pid").unlink()

    async def look(client: Client) -> None:
        reply = await ask(client, "read_state", run_id=started)
        assert reply["status"] == "running"
        assert "its supervisor is gone; execute_stage records that and goes on" in reply["summary"]
        assert ledger_events(started) == ["run_planned", "attempt_started"]

    speak("auto", look)
    reply = finish(speak, workspace, started)
    assert (reply["status"], reply["attempt"]) == ("executed", 2)
    assert "attempt 1 was lost" in reply["notes"][0]
    assert ledger_events(started) == [*ONE_ATTEMPT[:2], "attempt_lost", "attempt_started", "attempt_finished"]
    assert reply["budget"]["failures"] == 1
    assert (workspace.root / "ran.txt").read_text().split() == ["A/waits", "A/waits"]


def test_a_stage_that_loses_its_supervisor_too_often_is_blocked(
    speak: Speak, ask: Ask, plan: Plan, processes: Processes
) -> None:
    """A lost attempt counts against the bound, with proposals at its end."""
    run_id = plan("waits", budget={"retries": 0})

    async def script(client: Client) -> dict[str, Any]:
        await ask(client, "execute_stage", run_id=run_id, wait_s=0)
        os.kill(processes("supervise")[0], signal.SIGKILL)
        reply = await ask(client, "execute_stage", run_id=run_id, wait_s=5)
        assert "the supervisor of attempt 1 is gone" in reply["summary"] or reply["status"] == "blocked"
        return reply if reply["status"] == "blocked" else await ask(client, "execute_stage", run_id=run_id)

    reply = speak("auto", script)
    assert (reply["status"], reply["attempt"]) == ("blocked", 1)
    assert reply["next"]["arguments"]["proposal"] == 0


@pytest.mark.parametrize("mode", ERAS)
def test_a_client_that_loses_patience_calls_again(
    speak: Speak, plan: Plan, workspace: Workspace, ledger_events: Events, mode: str
) -> None:
    """A call that timed out at the client started one attempt, and so did the call after it."""
    run_id = plan("waits")

    async def script(client: Client) -> dict[str, Any]:
        with pytest.raises(MCPError):
            await client.call_tool("execute_stage", {"run_id": run_id, "wait_s": 30}, read_timeout_seconds=1.0)
        return await wait_and_let_go(client, workspace, run_id)

    reply = speak(mode, script)
    assert (reply["status"], reply["attempt"]) == ("executed", 1)
    assert ledger_events(reply["run_id"]) == ONE_ATTEMPT


@pytest.mark.parametrize("mode", ERAS)
def test_a_cancelled_wait_is_over_at_once_and_the_stage_goes_on(
    speak: Speak, ask: Ask, plan: Plan, workspace: Workspace, ledger_events: Events, mode: str
) -> None:
    """The server answers other calls meanwhile, and the call that was given up is in the record."""
    run_id = plan("waits")

    async def script(client: Client) -> None:
        async with anyio.create_task_group() as calls:
            calls.start_soon(client.call_tool, "execute_stage", {"run_id": run_id, "wait_s": 30})
            await until((workspace.root / "pid").exists)  # the command is at work
            calls.cancel_scope.cancel()
        assert (await ask(client, "read_state", run_id=run_id))["status"] == "running"
        log = workspace.root / "experiments" / run_id / "logs" / "tool_calls.log"
        await until(lambda: "given up by the caller" in log.read_text())

    speak(mode, script)
    assert finish(speak, workspace, run_id)["attempt"] == 1
    assert ledger_events(run_id) == ONE_ATTEMPT


def test_calls_do_not_wait_for_one_another(speak: Speak, ask: Ask, plan: Plan, workspace: Workspace) -> None:
    """While several calls wait on a stage, a stop gets through, and all of them return."""
    replies: list[dict[str, Any]] = []

    run_id = plan("sleeps")

    async def script(client: Client) -> None:
        async def wait() -> None:
            replies.append(await ask(client, "execute_stage", run_id=run_id, wait_s=30))

        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                for _ in range(5):
                    tasks.start_soon(wait)
                await until((workspace.root / "pid").exists)
                await ask(client, "decide", run_id=run_id, decision="stop", rationale="enough")

    speak("auto", script)
    assert [(reply["status"], reply["attempt"]) for reply in replies] == [("stopped", 1)] * 5
