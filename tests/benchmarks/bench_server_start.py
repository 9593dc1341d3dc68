"""Time from spawn to the initialize reply: our server against an empty server of the SDK, in turn, in one run."""

import json
import statistics
import subprocess
import sys
import tempfile
import time

RUNS = 9
EMPTY = "from mcp.server import MCPServer; MCPServer('empty').run()"
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "benchmark", "version": "1"},
    },
}


def main() -> list[dict[str, object]]:
    """Return the measured ratio with its goal."""
    with tempfile.TemporaryDirectory() as root:
        ours = [sys.executable, "-P", "-m", "stagewright.server", "serve", "--root", root]
        empty = [sys.executable, "-P", "-c", EMPTY]
        for command in (ours, empty):
            _seconds_to_reply(command)  # fills the page cache and the byte-code cache
        pairs = [(_seconds_to_reply(ours), _seconds_to_reply(empty)) for _ in range(RUNS)]
    ratio = statistics.median(mine / theirs for mine, theirs in pairs)
    return [
        {"name": "server start / empty SDK server", "value": round(ratio, 3), "goal": "<= 1.3", "holds": ratio <= 1.3},
        {
            "name": "server start, seconds (median)",
            "value": round(statistics.median(mine for mine, _ in pairs), 3),
            "goal": None,
            "holds": None,
        },
    ]


def _seconds_to_reply(command: list[str]) -> float:
    started = time.perf_counter()
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the pipes were asked for")
    process.stdin.write(json.dumps(INITIALIZE).encode() + b"\n")
    process.stdin.flush()
    reply = json.loads(process.stdout.readline())
    elapsed = time.perf_counter() - started
    process.stdin.close()
    process.wait(10)
    process.stdout.close()
    if "result" not in reply:
        raise RuntimeError(f"no initialize reply: {reply}")
    return elapsed


if __name__ == "__main__":
    print(json.dumps(main(), indent=2))
