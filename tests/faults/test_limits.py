"""Stages that know no end: each is stopped within its budget and a few seconds, told as what it is, and leaves nothing.

Real processes behind the real interface, on real limits.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from stagewright.state.ledger import Ledger
from stagewright.state.policy import parse_policy
from stagewright.tools import Workspace

pytestmark = [pytest.mark.usefixtures("look_here"), pytest.mark.faults]

Call = Callable[..., dict[str, Any]]
Declare = Callable[..., dict[str, Any]]

RUNAWAYS = {
    "allocates": "held = []\nwhile True: held.append(bytearray(b'x') * (64 << 20))",
    "asks_for_all": "held = bytearray(1 << 45); import time; time.sleep(600)",
    "sleeps": "import time; time.sleep(600)",
    "forks": (
        "import os, time\n"
        "for _ in range(20):\n"
        "    if os.fork() == 0:\n"
        "        os.setsid()\n"
        "        if os.fork(): os._exit(0)\n"  # its child has no parent of ours any more
        "        time.sleep(600)\n"
        "time.sleep(600)"
    ),
    "ignores": (
        "import signal, time\n"
        "for one in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP): signal.signal(one, signal.SIG_IGN)\n"
        "time.sleep(600)"
    ),
    "prints": "import sys\nwhile True: sys.stdout.write('x' * 1023 + '\\n')",
}
RUNTIME_S = 2.0
A_FEW_S = 8.0
"""Beyond the budget: to ask, to kill after two seconds, to commit, on a machine that is busy."""


@pytest.fixture
def ended(workspace: Workspace, call: Call, declare: Declare) -> Callable[..., dict[str, Any]]:
    """Return a function that runs a runaway to its end; it gives the blocked step, and asserts what holds for all."""
    tables = "".join(
        f"[commands.{name}]\nargv = {json.dumps(['{python}', '-I', '-S', '-c', code])}\n"
        for name, code in RUNAWAYS.items()
    )
    policy = parse_policy(f'{tables}[caps]\noutput = "32MiB"\n', workspace.root)
    within = Workspace(root=workspace.root, policy=policy)

    def run(stage: str, **budget: str) -> dict[str, Any]:
        spec = declare(stage, budget={"retries": 1, "runtime": "10min"} | budget)
        run_id = call("plan_run", within=within, spec=spec)["run_id"]
        began = time.monotonic()
        reply = call("execute_stage", within=within, run_id=run_id, wait_s=60)
        reply["took_s"] = time.monotonic() - began
        assert reply["status"] == "blocked", reply
        assert left_of(workspace.root) == []
        entry = [dict(entry) for entry in Ledger(workspace.run(run_id)).log.entries()][-1]
        assert entry["failure"] == reply["blocked"]["kind"]
        assert reply["blocked"]["proposals"], "a step that is blocked says what could be done"
        assert (workspace.run(run_id).path / reply["blocked"]["context"]).is_file()
        return reply

    return run


def left_of(root: Path) -> list[psutil.Process]:
    """Return the processes that work below a root and have not ended; what was killed may take a moment to go."""
    deadline = time.monotonic() + 5
    while True:
        found = [process for process in psutil.process_iter() if _works_in(process, str(root))]
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


def _works_in(process: psutil.Process, root: str) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE or process == psutil.Process():
            return False
        return process.environ().get("STAGEWRIGHT_ATTEMPT", "").startswith(root)
    except (psutil.NoSuchProcess, psutil.AccessDenied, OSError):
        return False


@pytest.mark.parametrize("stage", ["sleeps", "ignores", "forks"])
def test_one_that_does_not_end(ended: Callable[..., dict[str, Any]], stage: str) -> None:
    """Sleeping, ignoring SIGTERM, or with twenty daemons that left its session: ended when its time is up."""
    reply = ended(stage, runtime=f"{RUNTIME_S}s")
    assert reply["blocked"]["kind"] == "runtime_budget"
    assert RUNTIME_S <= reply["budget"]["runtime_used_s"] <= RUNTIME_S + A_FEW_S
    assert reply["took_s"] <= RUNTIME_S + A_FEW_S
    assert "runtime" in reply["blocked"]["proposals"][0]["adjustments"]


def test_one_that_allocates_without_end(ended: Callable[..., dict[str, Any]]) -> None:
    """Ended when the tree passes its memory, before it takes much more than that."""
    reply = ended("allocates", memory="300MiB")
    assert reply["blocked"]["kind"] in ("memory_budget", "command")  # killed, or refused the memory by its own limit
    assert reply["budget"]["peak_rss_bytes"] < 3 * 2**30
    assert reply["took_s"] < A_FEW_S
    assert reply["attempt"] == 1


def test_one_that_asks_for_more_than_there_is(ended: Callable[..., dict[str, Any]]) -> None:
    """One allocation far beyond the limit fails where it is asked for, and the machine does not notice."""
    reply = ended("asks_for_all", memory="300MiB")
    assert reply["blocked"]["kind"] == "command"
    assert any("MemoryError" in line for line in reply["blocked"]["last_lines"])


def test_one_that_prints_without_end(ended: Callable[..., dict[str, Any]], workspace: Workspace) -> None:
    """Ended when it has printed what an attempt may; its log is small and has the beginning and the end."""
    reply = ended("prints")
    assert reply["blocked"]["kind"] == "output_limit"
    assert reply["blocked"]["resources"]["output_bytes"] > 32 * 2**20
    log = next((workspace.run(reply["run_id"]).path / "attempts").glob("*/worker.log"))
    assert log.stat().st_size < 10 * 2**20
    assert b"bytes of output were left out here" in log.read_bytes()
    assert reply["took_s"] < A_FEW_S * 2
