"""What a commit costs: a ledger entry with fsync and a new RUN_STATE.json, against the bare bytes, in one run.

The bare side appends the same bytes, the line and the snapshot, to one file and calls fsync once, with nothing hashed,
verified, folded or renamed.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from stagewright.state.chain import ChainedLog
from stagewright.state.clock import stamp, utc_now
from stagewright.state.events import Decided, RunPlanned
from stagewright.state.ledger import Ledger, Transition
from stagewright.state.records import Limits, SealedData
from stagewright.state.run_directory import LOG_NAMES, RunDirectory

RUNS = 200
DIGEST = "0" * 64
FIELDS = {"step": "A/plan0", "event": "attempt_started", "message": "A/plan0 attempt 1 started", "directory": "x" * 400}


def main() -> list[dict[str, object]]:
    """Return the measured ratios with their goals."""
    with tempfile.TemporaryDirectory() as folder:
        return [*_append_alone(Path(folder)), *_whole_commit(Path(folder))]


def _append_alone(folder: Path) -> list[dict[str, object]]:
    log, bare = ChainedLog(folder / "chained.log", head_file=True), folder / "bare.log"
    at = stamp(utc_now())
    log.append(at, FIELDS)
    line = log.path.read_bytes()
    pairs = [(_seconds(lambda: log.append(at, FIELDS)), _seconds(lambda: _write(bare, line))) for _ in range(RUNS)]
    return [_row("chained append / bare write+fsync", pairs)]


def _whole_commit(folder: Path) -> list[dict[str, object]]:
    run = planned(folder)
    transition = Transition(Ledger(run), Ledger(run).fold(), utc_now())
    transition.commit(adjusted(0))
    both = run.log("agent_run").read_bytes().splitlines(keepends=True)[-1] + run.snapshot.read_bytes()
    events, bare = iter([adjusted(number) for number in range(1, RUNS + 1)]), folder / "bare_commits.log"
    pairs = [
        (_seconds(lambda: transition.commit(next(events))), _seconds(lambda: _write(bare, both))) for _ in range(RUNS)
    ]
    return [_row("commit with snapshot / bare write+fsync of the bytes", pairs)]


def planned(folder: Path) -> RunDirectory:
    """Make a run directory with its first entry."""
    run = RunDirectory(folder / "20261122_134156_study_0123abcd")
    (run.path / "logs").mkdir(parents=True)
    for name in LOG_NAMES:
        run.log(name).touch()
    first = RunPlanned(
        message="planned",
        run_id=run.run_id,
        objective="What does a commit cost?",
        steps=tuple(f"{checkpoint}/{stage}" for checkpoint in "ABC" for stage in ("plan0", "plan1a", "plan1b")),
        spec_sha256=DIGEST,
        spec_digest=DIGEST,
        data=SealedData(path="cohort.h5ad", bytes=1, sha256=DIGEST),
        limits=Limits(runtime_s=3600.0, memory_bytes=2**34, retries=2),
    )
    Ledger(run).first(first, utc_now())
    return run


def adjusted(number: int) -> Decided:
    """Return a decision that a planned step allows, as large as they are."""
    return Decided(
        message=f"adjust A/plan0: variation {number}",
        step="A/plan0",
        decision="adjust",
        rationale=f"variation {number}, " + "because of what was measured before " * 4,
        call_digest=f"{number:064x}",
        adjustments={"workers": 1 + number % 2},
        before_first_look=True,
    )


def _row(name: str, pairs: list[tuple[float, float]]) -> dict[str, object]:
    ratio = statistics.median(ours for ours, _ in pairs) / statistics.median(bare for _, bare in pairs)
    return {"name": name, "value": round(ratio, 2), "goal": "<= 3", "holds": ratio <= 3}


def _seconds(act: Callable[[], object]) -> float:
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def _write(path: Path, line: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(fd, line)
    os.fsync(fd)
    os.close(fd)


if __name__ == "__main__":
    print(main())
