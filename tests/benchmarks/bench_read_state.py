"""`read_state` on a run with 100,000 log entries against the same call on a run with 100, in turn, in one run."""

import os
import statistics
import tempfile
import time
from pathlib import Path
from unittest import mock

from stagewright.state.chain import ChainedLog
from stagewright.state.clock import stamp, utc_now
from stagewright.state.events import Decided, RunPlanned
from stagewright.state.ledger import Ledger, Transition
from stagewright.state.records import Limits, SealedData
from stagewright.state.run_directory import EXPERIMENTS, LOG_NAMES, RunDirectory
from stagewright.tools import Caller, Workspace, call_tool, complete

RUNS = 15
MANY, FEW = 100_000, 100
DIGEST = "0" * 64
CALL = {"step": "A/plan0", "event": "tool_call", "message": "read_state answered for a client", "reply": "x" * 300}


def main() -> list[dict[str, object]]:
    """Return the measured ratios with their goal."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        many, few = grown(root, "20261122_134156_many_0123abcd", MANY), grown(root, "20261122_134156_few_0123abcd", FEW)
        return [_ratio(root, many, few, view) for view in ("summary", "logs")]


def grown(root: Path, run_id: str, n_entries: int) -> str:
    """Make a run with so many entries, half of them in the ledger and half calls; return its id."""
    run = RunDirectory(root / EXPERIMENTS / run_id)
    (run.path / "logs").mkdir(parents=True)
    for name in LOG_NAMES:
        run.log(name).touch()
    first = RunPlanned(
        message="planned",
        run_id=run_id,
        objective="Does a long run read as fast as a short one?",
        steps=("A/plan0", "B/plan0"),
        spec_sha256=DIGEST,
        spec_digest=DIGEST,
        data=SealedData(path="cohort.h5ad", bytes=1, sha256=DIGEST),
        limits=Limits(runtime_s=3600.0, memory_bytes=2**34, retries=2),
    )
    with mock.patch.object(os, "fsync"):  # only to make the runs; what is measured flushes as ever
        calls, at = ChainedLog(run.log("tool_calls")), stamp(utc_now())
        for _ in range(n_entries // 2):
            calls.append(at, CALL)
        Ledger(run).first(first, utc_now())
        transition = Transition(Ledger(run), Ledger(run).fold(), utc_now())
        for number in range(n_entries // 2 - 1):
            transition.commit(_adjusted(number))
    return run_id


def _adjusted(number: int) -> Decided:
    return Decided(
        message=f"adjust A/plan0: variation {number}",
        step="A/plan0",
        decision="adjust",
        rationale=f"variation {number}",
        call_digest=f"{number:064x}",
        adjustments={"workers": 1 + number % 2},
        before_first_look=True,
    )


def _ratio(root: Path, many: str, few: str, view: str) -> dict[str, object]:
    workspace = Workspace(root=root)
    pairs = [(_seconds(workspace, many, view), _seconds(workspace, few, view)) for _ in range(RUNS + 1)][1:]
    ratio = statistics.median(long for long, _ in pairs) / statistics.median(short for _, short in pairs)
    name = f"read_state({view}): {MANY:,} entries / {FEW}"
    return {"name": name, "value": round(ratio, 2), "goal": "<= 1.5", "holds": ratio <= 1.5}


def _seconds(workspace: Workspace, run_id: str, view: str) -> float:
    started = time.perf_counter()
    reply = complete(call_tool(workspace, "read_state", {"run_id": run_id, "view": view}, Caller()))
    elapsed = time.perf_counter() - started
    if reply.status != "planned":
        raise RuntimeError(f"not the run that was made: {reply}")
    return elapsed


if __name__ == "__main__":
    print(main())
