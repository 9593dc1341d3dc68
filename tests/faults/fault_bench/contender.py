"""One of many processes at work under the same root. It prints what it did as one line of JSON.

Run as ``python -P contender.py ROOT RUN WHO CALLS`` to make so many mixed calls on a run, as ``... ROOT drive SPEC`` to
drive a study of its own to its end, or as ``... ROOT hold RUN`` to hold a run's lock for a moment.
"""

import json
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from stagewright.state.ledger import Ledger
from stagewright.state.policy import parse_policy
from stagewright.state.refusals import Refusal
from stagewright.tools import Caller, Workspace, call_tool, complete

STEPS: dict[str, tuple[str, dict[str, Any]]] = {
    "planned": ("execute_stage", {"wait_s": 60}),
    "running": ("execute_stage", {"wait_s": 60}),
    "executed": ("validate_stage", {}),
    "validated": ("decide", {"decision": "continue", "rationale": "the gates passed"}),
}


def _mixed(workspace: Workspace, run_id: str, who: str, calls: int) -> dict[str, int]:
    """Make calls of every kind; most are refused, because somebody else was first."""
    rng = random.Random(who)  # noqa: S311 - repeatable on purpose
    tally: Counter[str] = Counter()
    for number in range(calls):
        tool, arguments = rng.choice(
            [
                ("read_state", {}),
                ("read_state", {"view": "logs"}),
                ("execute_stage", {"wait_s": 0}),
                ("execute_stage", {"wait_s": 0.5}),
                ("validate_stage", {}),
                ("decide", {"decision": "continue", "rationale": f"{who} says so, {number}"}),
                ("decide", {"decision": "adjust", "rationale": f"{who}, {number}", "adjustments": {"retries": 3}}),
            ],
        )
        try:
            reply = complete(
                call_tool(
                    workspace, tool, {"run_id": run_id, **arguments}, Caller(f"contender-{who}", version=str(number))
                ),
            )
            tally["decided"] += tool == "decide" and not getattr(reply, "repeated", False)
        except Refusal as refusal:
            if refusal.code not in ("not_allowed_now", "run_locked"):
                raise
            tally["refused"] += 1
    return {"decided": tally["decided"], "refused": tally["refused"]}


def _drive(workspace: Workspace, spec: dict[str, Any]) -> dict[str, Any]:
    def called(tool: str, **arguments: object) -> dict[str, Any]:
        return complete(call_tool(workspace, tool, arguments, Caller("driver"))).model_dump(mode="json")

    reply = called("plan_run", spec=spec)
    run_id = reply["run_id"]
    while reply["status"] in STEPS:
        tool, arguments = STEPS[reply["status"]]
        reply = called(tool, run_id=run_id, **arguments)
    return {"run_id": run_id, "status": reply["status"]}


def _hold(workspace: Workspace, run_id: str) -> dict[str, str]:
    with Ledger(workspace.run(run_id)).transition() as transition:
        sys.stdout.write("held\n")
        sys.stdout.flush()
        time.sleep(1.0)
        return {"status": transition.state.status}


def _main() -> None:
    root = Path(sys.argv[1])
    workspace = Workspace(root=root, policy=parse_policy((root / "stagewright.toml").read_text(), root))
    sys.stdin.readline()
    did: object
    match sys.argv[2:]:
        case ["drive", spec]:
            did = _drive(workspace, json.loads(spec))
        case ["hold", run_id]:
            did = _hold(workspace, run_id)
        case [run_id, who, calls]:
            did = _mixed(workspace, run_id, who, int(calls))
        case _:
            sys.exit(2)
    sys.stdout.write(json.dumps(did) + "\n")


if __name__ == "__main__":
    _main()
