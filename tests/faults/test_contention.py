"""Many processes at once: on one run, on one root, and while one of them holds the lock and stands still."""

import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fault_bench.caller import BENCH, PreparedCaller, armed_environment
from fault_bench.case import Case
from fault_bench.whole_record import event_counts, record_faults

from stagewright.state.chain import ChainedLog
from stagewright.state.ledger import Ledger

pytestmark = [pytest.mark.faults, pytest.mark.timeout(480)]

PROCESSES = 8
CALLS = 200


def start(case: Case, *arguments: str) -> "subprocess.Popen[str]":
    """Start one of the processes; it waits for a line on its standard input before it begins."""
    return subprocess.Popen(
        [sys.executable, "-P", str(BENCH / "contender.py"), str(case.root), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=armed_environment(case),
    )


def let_go(contenders: list["subprocess.Popen[str]"]) -> list[dict[str, Any]]:
    """Let all begin at the same moment and return what each of them counted."""
    for contender in contenders:
        assert contender.stdin is not None
        contender.stdin.write("go\n")
        contender.stdin.flush()
    answers = [contender.communicate(timeout=400)[0] for contender in contenders]
    assert [contender.returncode for contender in contenders] == [0] * len(contenders)
    return [json.loads(answer) for answer in answers]


def test_eight_processes_make_two_hundred_calls_each_on_one_run(
    tmp_path: Path,
    empty_root: Path,
    caller: PreparedCaller,
    spec_of: Callable[..., dict[str, Any]],
    record_property: Callable[[str, object], None],
) -> None:
    """Every transition happens once, every call is in the record once, and nobody waits for ever."""
    case = Case(tmp_path / "case", empty_root)
    answers = caller.make(case, [("plan_run", {"spec": spec_of("ok")})])
    assert answers is not None
    counted = let_go([start(case, answers[0]["run_id"], str(who), str(CALLS)) for who in range(PROCESSES)])
    record_property("contended_calls", PROCESSES * CALLS)

    events = event_counts(case.run)
    decided = sum(tally["decided"] for tally in counted)
    assert events["decided"] == decided >= 1
    assert events["attempt_started"] == events["executed"] == len((case.root / "ran.txt").read_text().split())
    steps = [str(entry["step"]) for entry in Ledger(case.run).log.entries() if entry.get("outcome") == "executed"]
    assert len(steps) <= 1 + events["decided"]

    calls = [entry for entry in ChainedLog(case.run.log("tool_calls")).verified() if entry["event"] == "tool_call"]
    by_client = Counter(str(dict(entry["client"])["name"]) for entry in calls)  # type: ignore[arg-type]
    made = {f"contender-{who}": CALLS for who in range(PROCESSES)}
    assert {name: by_client[name] for name in made} == made
    for who in range(PROCESSES):
        order = [dict(entry["client"])["version"] for entry in calls if _is_of(entry, who)]  # type: ignore[arg-type]
        assert order == [str(number) for number in range(CALLS)]
    caller.make(case, [("decide", {"run_id": case.run.run_id, "decision": "stop", "rationale": "the end"})])
    assert record_faults(case, {}) == []
    case.remove()


def test_eight_processes_drive_eight_runs_under_one_root(
    tmp_path: Path, empty_root: Path, spec_of: Callable[..., dict[str, Any]]
) -> None:
    """Each plans its own study and drives it to its end beside the others."""
    case = Case(tmp_path / "case", empty_root)
    specs = [json.dumps(spec_of("second", objective=f"Is study {who} alone?")) for who in range(PROCESSES)]
    ended = let_go([start(case, "drive", spec) for spec in specs])
    assert [end["status"] for end in ended] == ["completed"] * PROCESSES
    assert len({end["run_id"] for end in ended}) == PROCESSES
    assert len(case.runs) == PROCESSES
    for run in case.runs:
        events = event_counts(run)
        assert (events["executed"], events["step_validated"], events["decided"]) == (3, 3, 3)
        assert events["attempt_started"] == 3
    (case.root / "ran.txt").unlink()  # the lock of the commands is the root's: here they may overlap
    assert record_faults(case, {}) == []
    case.remove()


@pytest.mark.skipif(platform.system() != "Linux", reason="the state of a stopped process is read from /proc")
def test_a_process_that_stands_still_with_the_lock_is_named(
    tmp_path: Path, empty_root: Path, caller: PreparedCaller, spec_of: Callable[..., dict[str, Any]]
) -> None:
    """Other calls are refused within the bounded wait, naming pid, host and since; all goes on when it wakes."""
    case = Case(tmp_path / "case", empty_root)
    answers = caller.make(case, [("plan_run", {"spec": spec_of("ok")})])
    assert answers is not None
    run_id = answers[0]["run_id"]
    holder = start(case, "hold", run_id)
    assert holder.stdin is not None
    holder.stdin.write("go\n")
    holder.stdin.flush()
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    os.kill(holder.pid, signal.SIGSTOP)
    try:
        begun = time.monotonic()
        stop = ("decide", {"run_id": run_id, "decision": "stop", "rationale": "enough"})
        refused = caller.make(case, [stop])
        waited_s = time.monotonic() - begun
        read = caller.make(case, [("read_state", {"run_id": run_id})])
    finally:
        os.kill(holder.pid, signal.SIGCONT)
    assert refused is not None
    assert refused[0]["refused"] == "run_locked"
    for word in (f"pid {holder.pid}", platform.node(), " since 20"):
        assert word in refused[0]["message"]
    assert waited_s < 20
    assert read is not None
    assert read[0]["status"] == "planned"
    assert holder.communicate(timeout=30)[0] == '{"status": "planned"}\n'
    answers = caller.make(case, [stop])
    assert answers is not None
    assert answers[0]["status"] == "stopped"
    assert record_faults(case, {}) == []
    case.remove()


def _is_of(entry: dict[str, Any], who: int) -> bool:
    return bool(entry["client"]["name"] == f"contender-{who}")
