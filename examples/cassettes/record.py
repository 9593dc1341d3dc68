"""Record the cassettes of this folder anew: short studies of the built-in cohort, through a real server.

Each scene is what an agent does in one of them; the server records it, and `stagewright export-calls` makes the
cassette. Needed only when a scene changes: `stagewright replay --update` writes new answers into a cassette.

    python examples/cassettes/record.py            # all of them, about two minutes
    python examples/cassettes/record.py stopped    # one
"""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import anyio
import psutil
import yaml
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp.types import ElicitResult, Implementation

HERE = Path(__file__).parent
STAGEWRIGHT = [sys.executable, "-P", "-m", "stagewright.server"]

SPEC: dict[str, Any] = {
    "objective": "In the built-in cohort, do the leading components separate malignant from normal cells?",
    "data": {
        "path": "builtin_cohort.h5ad",
        "patient": "patient",
        "label": {"column": "CN.label", "positive": "cancer", "negative": "normal"},
        "timepoint": {"column": "timepoint_type", "keep": ["Dx"]},
    },
    "stages": ["plan0", "plan1a", "plan1b"],
    "preprocess": [{"method": "hvg", "n_top_genes": 400}],
    "reduction": {"methods": ["pca"], "k": [3, 6], "seeds": [1, 2]},
    "classifier": {"alphas": {"logspace": [-2, 3, 8]}, "cv": {"folds": 3, "repeats": 1}},
    "stop": {"success": [{"metric": "plan1b.best.auc", "at_least": 0.8}]},
    "budget": {"runtime": "30min", "memory": "4GiB", "retries": 2},
    "checkpoints": {"A": {"cells_per_patient": 60}, "B": {"cells_per_patient": 90}},
}

Call = Callable[..., Awaitable[dict[str, Any]]]
Scene = Callable[[Call, Path], Awaitable[None]]


async def clean_run(call: Call, root: Path) -> None:
    """Take a study from A to C; the person at the client approves C in a form."""
    write_spec(root, approvals=["C"])
    await call("plan_run", spec="study.yaml", dry_run=True)
    reply = await call("plan_run", spec="study.yaml")
    while reply["status"] not in ("completed", "stopped", "blocked"):
        reply = await call(reply["next"]["tool"], **answered(reply["next"]["arguments"]))
    run_id = reply["run_id"]
    for view in ("summary", "metrics", "gates", "trials", "spec"):
        await call("read_state", run_id=run_id, view=view)
    await call("read_state")


async def blocked_and_adjusted(call: Call, root: Path) -> None:
    """Run into the memory budget, which blocks the step, and open it again by an adjustment."""
    write_spec(root, budget={"runtime": "30min", "memory": "64MiB", "retries": 1})
    run_id = (await call("plan_run", spec="study.yaml"))["run_id"]
    await call("execute_stage", run_id=run_id)
    await call("read_state", run_id=run_id)
    await call("decide", run_id=run_id, decision="continue", rationale="it is only memory")
    adjusted = {"memory": "2GiB", "k": [3]}
    await call("decide", run_id=run_id, decision="adjust", rationale="64 MiB hold no worker", adjustments=adjusted)
    await call("execute_stage", run_id=run_id)
    await call("validate_stage", run_id=run_id)
    await call("decide", run_id=run_id, decision="continue", rationale="the gates passed")
    await call("read_state", run_id=run_id, view="artifacts", limit=5)


async def refusals(call: Call, root: Path) -> None:
    """Try what the rules do not allow: wrong specs and arguments, steps out of turn, sealed fields, paths outside."""
    write_spec(root)
    (root / "wrong.yaml").write_text(yaml.safe_dump(SPEC | {"objektive": "x", "stages": ["plan9"]}), encoding="utf-8")
    absent = SPEC["data"] | {"patient": "donor"}
    await call("plan_run", spec="wrong.yaml")
    await call("plan_run", spec=SPEC | {"data": absent})
    await call("plan_run", spec=SPEC | {"data": SPEC["data"] | {"path": "/etc/passwd"}})
    await call("plan_run", spec="../elsewhere/study.yaml")
    await call("read_state", run_id="20200101_000000_nothing_00000000")
    run_id = (await call("plan_run", spec="study.yaml"))["run_id"]
    await call("execute_stage", run_id=run_id, force=True)
    await call("validate_stage", run_id=run_id)
    await call("decide", run_id=run_id, decision="continue", rationale="all is well")
    await call("decide", run_id=run_id, decision="finish", rationale="done")
    sealed = {"objective": "something easier"}
    await call("decide", run_id=run_id, decision="adjust", rationale="move the goal", adjustments=sealed)
    over = {"memory": "100TiB"}
    await call("decide", run_id=run_id, decision="adjust", rationale="all there is", adjustments=over)
    await call("execute_stage", run_id=run_id[:15])
    await call("execute_stage", run_id=run_id)
    await call("read_state", run_id=run_id, view="metrics", cursor="-1")
    await call("decide", run_id=run_id, decision="stop", rationale="")
    await call("decide", run_id=run_id, decision="stop", rationale="shown what there is to see")
    await call("decide", run_id=run_id, decision="stop", rationale="shown what there is to see")
    await call("execute_stage", run_id=run_id)


async def resumed_after_kill(call: Call, root: Path) -> None:
    """Lose a step's supervisor and worker to a kill; the next calls see it, record it and do the step again."""
    write_spec(root)
    run_id = (await call("plan_run", spec="study.yaml"))["run_id"]
    await call("execute_stage", run_id=run_id, wait_s=0)
    kill_attempts(root)
    await call("read_state", run_id=run_id)
    await call("execute_stage", run_id=run_id)
    await call("validate_stage", run_id=run_id)
    await call("decide", run_id=run_id, decision="continue", rationale="nothing was lost but time")
    await call("read_state", run_id=run_id, view="logs", limit=50)


async def attached_after_timeout(call: Call, root: Path) -> None:
    """Give a call up; the stage goes on, and the next call attaches to it."""
    write_spec(root)
    run_id = (await call("plan_run", spec="study.yaml"))["run_id"]
    with anyio.move_on_after(0.7):
        await call("execute_stage", run_id=run_id)
    await call("execute_stage", run_id=run_id, wait_s=0)
    await call("read_state", run_id=run_id)
    await call("execute_stage", run_id=run_id)
    await call("validate_stage", run_id=run_id)
    await call("validate_stage", run_id=run_id)
    await call("validate_stage", run_id=run_id, again=True)


async def stopped(call: Call, root: Path) -> None:
    """Stop a run while a step is at work: the step is ended, the record is closed."""
    write_spec(root)
    run_id = (await call("plan_run", spec="study.yaml"))["run_id"]
    await call("execute_stage", run_id=run_id)
    await call("validate_stage", run_id=run_id)
    await call("decide", run_id=run_id, decision="continue", rationale="the gates passed")
    await call("execute_stage", run_id=run_id, wait_s=0)
    await call("decide", run_id=run_id, decision="stop", rationale="the question was answered elsewhere")
    while kinds(root).count("attempt_finished") < kinds(root).count("attempt_started"):  # noqa: ASYNC110 - a file
        await anyio.sleep(0.1)
    await call("read_state", run_id=run_id)
    await call("decide", run_id=run_id, decision="continue", rationale="after all")


async def approved_at_the_command_line(call: Call, root: Path) -> None:
    """Wait for a person, who approves the checkpoint with `stagewright approve`."""
    write_spec(root, approvals=["A"])
    run_id = (await call("plan_run", spec="study.yaml"))["run_id"]
    await call("execute_stage", run_id=run_id)
    shown = stagewright("approve", run_id, "--root", str(root), "--json", status=3)
    digest = json.loads(shown)["digest"]
    stagewright("approve", run_id, "--root", str(root), "--digest", digest, "--reason", "the plan is what we agreed on")
    await call("execute_stage", run_id=run_id)
    await call("validate_stage", run_id=run_id)


SCENES: dict[str, tuple[str, Scene]] = {
    "clean_run": ("2026-07-28", clean_run),
    "blocked_and_adjusted": ("legacy", blocked_and_adjusted),
    "refusals": ("2026-07-28", refusals),
    "resumed_after_kill": ("legacy", resumed_after_kill),
    "attached_after_timeout": ("legacy", attached_after_timeout),
    "stopped": ("2026-07-28", stopped),
    "approved_at_the_command_line": ("2026-07-28", approved_at_the_command_line),
}


def main() -> None:
    """Record the scenes that are named, or all."""
    with tempfile.TemporaryDirectory() as folder:
        cohort = Path(folder) / "builtin_cohort.h5ad"
        subprocess.run([sys.executable, "-P", "-m", "stagewright.stages", "cohort", str(cohort)], check=True)  # noqa: S603 - ours
        for name in sys.argv[1:] or SCENES:
            era, scene = SCENES[name]
            root = Path(folder) / name
            root.mkdir()
            shutil.copy(cohort, root)
            asyncio.run(record(era, scene, root))
            note = " ".join((scene.__doc__ or "").split())
            place = HERE / f"{name}.jsonl"
            print(
                stagewright("export-calls", "--all", "--root", str(root), "--note", note, "--out", str(place)), end=""
            )


async def record(era: str, scene: Scene, root: Path) -> None:
    """Let an agent act out a scene at a server of its own."""
    server = StdioServerParameters(command=STAGEWRIGHT[0], args=[*STAGEWRIGHT[1:], "serve", "--root", str(root)])
    who = Implementation(name="example-agent", version="1.0")
    person: dict[str, Any] = {"elicitation_callback": approve} if scene is clean_run else {}
    async with Client(server, mode=era, client_info=who, **person) as client:

        async def call(tool: str, **arguments: object) -> dict[str, Any]:
            result = await client.call_tool(tool, arguments)
            print(f"  {tool}: {getattr(result.content[0], 'text', '').splitlines()[0][:110]}")
            return dict(result.structured_content or {})

        print(f"{scene.__name__} ({era})")
        await scene(call, root)


async def approve(_context: object, _asked: object) -> ElicitResult:
    """Answer the form as the person does."""
    return ElicitResult(action="accept", content={"approve": True, "reason": "the pilot holds what it promised"})


def write_spec(root: Path, **changes: object) -> None:
    """Write the study's goal spec, with changes to its keys."""
    (root / "study.yaml").write_text(yaml.safe_dump(SPEC | changes, sort_keys=False), encoding="utf-8")


def answered(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a next call, with a rationale where it wants one."""
    return dict(arguments) | ({"rationale": "the verdict allows it"} if "decision" in arguments else {})


def kill_attempts(root: Path) -> None:
    """Kill the supervisor of the running attempt, and with it its worker, as a crash of the machine would."""
    for process in psutil.process_iter(["cmdline"]):
        if any(str(root / "experiments") in word for word in process.info["cmdline"] or ()):
            os.kill(process.pid, signal.SIGKILL)


def kinds(root: Path) -> list[str]:
    """Return the kinds of the ledger's entries."""
    ledger = next(root.glob("experiments/*/logs/agent_run.log"))
    return [yaml.safe_load(line)["event"] for line in ledger.read_text(encoding="utf-8").splitlines()]


def stagewright(*words: str, status: int = 0) -> str:
    """Run a command as a person at a terminal does, and return what it prints."""
    ran = subprocess.run([*STAGEWRIGHT, *words], check=False, capture_output=True, text=True)  # noqa: S603 - ours
    if ran.returncode != status:
        raise SystemExit(f"stagewright {' '.join(words)} ended with {ran.returncode}: {ran.stderr}")
    return ran.stdout


if __name__ == "__main__":
    main()
