"""`stagewright verify` on a run with 100,000 log entries and 2 GB of artifacts, against `sha256sum` over its bytes.

The run is a real one: planned, and executed by a command that writes large files. Its calls are recorded by the log's
own append, as copies of a real call that differ in their time. What is compared is the whole command, from its start to
its exit, with `sha256sum` over every file that it reads. As coreutils' own digest may be slow, `openssl` is shown too.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

from stagewright.stages.cohort.generate import generate_cohort
from stagewright.state.clock import stamp, utc_now
from stagewright.state.ledger import Ledger
from stagewright.state.policy import parse_policy
from stagewright.state.run_directory import RunDirectory
from stagewright.tools import Caller, Workspace, call_tool, complete

PAIRS = 3
ENTRIES = 100_000
FILES, FILE_BYTES = 8, 250 * 10**6
WRITE = f"""
import os
block = os.urandom(10**6)
for number in range({FILES}):
    with open(f'large_{{number}}.bin', 'wb') as file:
        for part in range({FILE_BYTES // 10**6}):
            file.write(f'{{number:08d}}{{part:08d}}'.encode() + block[16:])
"""
SPEC = {
    "objective": "How fast is a run verified?",
    "data": {
        "path": "cohort.h5ad",
        "patient": "patient",
        "label": {"column": "CN.label", "positive": "cancer", "negative": "normal"},
    },
    "stages": ["large"],
}


def main() -> list[dict[str, object]]:
    """Return the measured ratios, the first with its goal."""
    with tempfile.TemporaryDirectory() as folder:
        run = grown(Path(folder))
        files = [str(path) for path in sorted(run.path.rglob("*")) if path.is_file() and "unit_cache" not in path.parts]
        verify = [sys.executable, "-m", "stagewright.server", "verify", str(run.path)]
        programs = {"sha256sum": ["sha256sum", "--", *files], "openssl": ["openssl", "dgst", "-sha256", *files]}
        shown = {name: words for name, words in programs.items() if shutil.which(words[0])}
        _seconds(verify, run.path)  # everything lies in memory from here on, for all of them
        times = [[_seconds(words, run.path) for words in (verify, *shown.values())] for _ in range(PAIRS)]
        ours, *theirs = (statistics.median(column) for column in zip(*times, strict=True))
        n_bytes = sum(Path(path).stat().st_size for path in files)
        print(f"verify: {ours:.2f} s for {n_bytes / 1e9:.2f} GB and {ENTRIES:,} calls", flush=True)
        return [_row(name, theirs[number] / ours) for number, name in enumerate(shown)]


def grown(root: Path) -> RunDirectory:
    """Make a run with large artifacts and many recorded calls."""
    generate_cohort(root / "cohort.h5ad", n_patients=8, cells_per_patient=40, n_genes=300)
    policy = f"[commands.large]\nargv = {json.dumps(['{python}', '-I', '-S', '-c', WRITE])}\n"
    workspace = Workspace(root=root, policy=parse_policy(policy, root))
    run_id = complete(call_tool(workspace, "plan_run", {"spec": SPEC}, Caller(client="bench"))).run_id
    executed = complete(
        call_tool(workspace, "execute_stage", {"run_id": run_id, "wait_s": 600}, Caller(client="bench"))
    )
    if executed.status != "executed" or run_id is None:
        raise RuntimeError(f"the stage did not run: {executed}")
    run = workspace.run(run_id)
    log = Ledger(run).detail("tool_calls")
    real = log.last() or {}
    fields = {key: value for key, value in real.items() if key not in ("at", "seq", "prev", "hash")}
    with mock.patch.object(os, "fsync"):  # only to make the run
        for number in range(ENTRIES):
            log.append(stamp(utc_now()), fields | {"elapsed_s": round(number / 7e4, 4)})
    return run


def _seconds(words: Sequence[str], folder: Path) -> float:
    started = time.perf_counter()
    done = subprocess.run([*words], cwd=folder, capture_output=True, text=True, check=False)
    elapsed = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(f"{words[0]} failed: {done.stdout[-500:]} {done.stderr[-500:]}")
    return elapsed


def _row(name: str, ratio: float) -> dict[str, object]:
    goal = 0.7 if name == "sha256sum" else None
    row = {"name": f"speed of verify / {name} over the same bytes", "value": round(ratio, 2)}
    return row | {"goal": f">= {goal}" if goal else "", "holds": ratio >= goal if goal else None}


if __name__ == "__main__":
    print(main())
