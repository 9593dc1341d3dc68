"""A plain MCP client that takes a study from its goal spec to the end over stdio, and prints what it sees.

It knows nothing about studies. It plans the spec and then makes the call that each reply names in `next`, until the run
is completed, stopped or blocked: the loop that any agent would go through, without a model in it.

    python examples/scripted_agent.py examples/builtin_cohort.yaml --root demo
"""

import argparse
import asyncio
import sys
from pathlib import Path
from typing import Any

from mcp import Client
from mcp.client.stdio import StdioServerParameters

ENDED = ("completed", "stopped")


def main() -> int:
    """Run the agent and return 0 when the run was completed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", maxsplit=1)[0])
    parser.add_argument("spec", help="goal spec, relative to the root or absolute under it")
    parser.add_argument("--root", type=Path, default=Path(), help="the folder that holds experiments/")
    parser.add_argument("--wait", type=float, default=45.0, help="seconds that one execute_stage call waits")
    parser.add_argument("--protocol", choices=("auto", "legacy"), default="auto", help="2026-07-28, or 2025-11-25")
    asked = parser.parse_args()
    return asyncio.run(run_study(asked.spec, asked.root.resolve(), asked.wait, asked.protocol))


async def run_study(spec: str, root: Path, wait_s: float, protocol: str) -> int:
    """Go through the loop and return the exit status."""
    command = ["-P", "-m", "stagewright.server", "serve", "--root", str(root)]
    server = StdioServerParameters(command=sys.executable, args=command)
    async with Client(server, mode=protocol) as client:
        tools = await client.list_tools()
        print(f"connected; tools: {', '.join(tool.name for tool in tools.tools)}")
        reply = await call(client, "plan_run", {"spec": spec})
        while reply is not None and reply["status"] not in (*ENDED, "blocked", "awaiting_approval"):
            following = reply["next"]
            arguments = dict(following["arguments"])
            if following["tool"] == "execute_stage":
                arguments["wait_s"] = wait_s
            if following["tool"] == "decide":
                if arguments["decision"] == "adjust":
                    print(f"the gates want an adjustment, which takes judgement: {following['why']}")
                    return 1
                arguments["rationale"] = f"scripted: {following['why']}"
            reply = await call(client, following["tool"], arguments)
        if reply is None or reply["status"] not in ENDED:
            print("the run did not end; its last reply above says why")
            return 1
        state = await call(client, "read_state", {"run_id": reply["run_id"]})
        return 0 if state is not None and state["status"] == "completed" else 1


async def call(client: Client, tool: str, arguments: dict[str, Any]) -> dict[str, Any] | None:
    """Make one call, print it with its reply, and return the structured content; None when it was refused."""

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        print(f"    ... {message or ''} {progress:g}{'' if total is None else f' of {total:g}'}")

    shown = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
    print(f"\n> {tool}({shown})")
    result = await client.call_tool(tool, arguments, progress_callback=on_progress)
    text = "\n".join(block.text for block in result.content if block.type == "text")
    print(text)
    if result.is_error:
        return None
    return result.structured_content


if __name__ == "__main__":
    sys.exit(main())
