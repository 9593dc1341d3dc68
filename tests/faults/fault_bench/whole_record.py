"""What has to hold of every run after every fault, once the calls that recover it were made."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping

from fault_bench.case import Case

from stagewright.state.chain import ChainedLog
from stagewright.state.ledger import Ledger
from stagewright.state.run_directory import LOG_NAMES, RunDirectory
from stagewright.tools.verify_run import verify_run

__all__ = ["event_counts", "record_faults"]


def record_faults(case: Case, acknowledged: Mapping[str, bytes]) -> list[str]:
    """Return in words everything that does not hold; empty when all of it does.

    Parameters
    ----------
    acknowledged
        The whole lines of each log at the moment of the fault: every byte of them is to be there still.
    """
    faults = [f"left running: {line}" for line in case.processes_left()]
    for run in case.runs:
        faults += _faults_of(run, acknowledged)
    ran = case.root / "ran.txt"
    if ran.exists() and "overlap" in ran.read_text():
        faults.append("two attempts were at work at the same time")
    return faults


def event_counts(run: RunDirectory) -> Counter[str]:
    """Return how often each kind of event stands in a run's ledger; ended attempts by their outcome."""
    return Counter(
        str(entry["outcome"]) if entry["event"] == "attempt_finished" else str(entry["event"])
        for entry in Ledger(run).log.entries()
    )


def _faults_of(run: RunDirectory, acknowledged: Mapping[str, bytes]) -> Iterator[str]:
    for name in LOG_NAMES:
        log = ChainedLog(run.log(name))
        yield from (f"chain: {problem}" for problem in log.problems())
        before = acknowledged.get(f"{run.run_id}/{name}", b"")
        if not log.path.read_bytes().startswith(before):
            yield f"{name}.log: an acknowledged entry is gone or changed"
        aside = list(log.path.parent.glob(f"{name}.log.torn-*"))
        moved = sum(1 for entry in log.entries() if entry.get("event") == "torn_tail_moved")
        if len(aside) > moved:
            yield f"{name}.log: {len(aside)} torn tails lie aside, {moved} are recorded"
    state = Ledger(run).fold()
    snapshot = json.loads(run.snapshot.read_text())
    if snapshot["fold"] != state.model_dump(mode="json"):
        yield f"RUN_STATE.json says {snapshot['status']} at attempt {snapshot['attempt']}, the fold {state.status}"
    yield from (f"verify: {problem}" for problem in verify_run(run))
    yield from _executed_twice(run)


def _executed_twice(run: RunDirectory) -> Iterator[str]:
    """Name each step that has two `executed` outcomes though nobody decided anything between them."""
    executed: Counter[str] = Counter()
    for entry in Ledger(run).log.entries():
        step = str(entry.get("step"))
        if entry["event"] == "decided":
            executed.clear()
        elif entry.get("outcome") == "executed":
            executed[step] += 1
            if executed[step] > 1:
                yield f"{step} was executed twice for one decision"
