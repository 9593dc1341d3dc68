"""Drive a run to its end: by the command line, or by a server with a client that loses patience with nothing."""

import subprocess
import sys
from contextlib import suppress

import anyio
from fault_bench.caller import armed_environment
from fault_bench.case import Case
from mcp import Client, MCPError, StdioServerParameters

__all__ = ["ARGV", "finish", "serve_to_the_end", "start_driver"]

ARGV = [sys.executable, "-P", "-m", "stagewright.server"]
PATIENCE_S = 300
STEPS: dict[str, tuple[str, dict[str, object]]] = {
    "planned": ("execute_stage", {"wait_s": 60}),
    "running": ("execute_stage", {"wait_s": 60}),
    "executed": ("validate_stage", {}),
    "validated": ("decide", {"decision": "continue", "rationale": "the gates passed"}),
}


def start_driver(case: Case) -> "subprocess.Popen[bytes]":
    """Start ``stagewright run`` on the case's spec."""
    with (case.folder / "driver.log").open("wb") as log:
        return subprocess.Popen(
            [*ARGV, "run", "spec.yaml", "--resume-from-state"],
            cwd=case.root,
            env=armed_environment(case),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def finish(case: Case) -> "subprocess.CompletedProcess[str]":
    """Take the run up from where it is and bring it to its end."""
    return subprocess.run(
        [*ARGV, "run", "spec.yaml", "--resume-from-state"],
        cwd=case.root,
        env=armed_environment(case),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def serve_to_the_end(case: Case) -> None:
    """Start a server and drive the planned run through it by `next`, until the run waits or the server is gone."""
    server = StdioServerParameters(
        command=ARGV[0], args=[*ARGV[1:], "serve", "--root", str(case.root)], env=armed_environment(case)
    )
    with suppress(MCPError, OSError, anyio.BrokenResourceError, anyio.ClosedResourceError, BaseExceptionGroup):
        anyio.run(_follow, server, case.run.run_id)  # the server may go: somebody kills it


async def _follow(parameters: StdioServerParameters, run_id: str) -> None:
    with anyio.move_on_after(PATIENCE_S):
        async with Client(parameters, mode="legacy") as client:
            status = "planned"
            while status in STEPS:
                tool, arguments = STEPS[status]
                result = await client.call_tool(tool, {"run_id": run_id, **arguments})
                if result.is_error or not isinstance(result.structured_content, dict):
                    return
                status = str(result.structured_content["status"])
