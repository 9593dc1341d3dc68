"""The disk is full at each phase of a run: the error is clear, nothing acknowledged is lost, and the run goes on."""

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fault_bench.caller import Call, PreparedCaller, armed_environment
from fault_bench.case import Case
from fault_bench.driving import ARGV
from fault_bench.results import results_of
from fault_bench.situations import SITUATIONS, Situation, lead_to, make_call, recover, settle
from fault_bench.small_disk import BallastDisk, Disk, LayerDisk, NoMount, mounted
from fault_bench.whole_record import event_counts, record_faults

from stagewright.stages.failure_table import kind_of
from stagewright.state.ledger import Ledger
from stagewright.tools.approval_report import approval_report

pytestmark = [pytest.mark.faults, pytest.mark.timeout(480)]

PHASES = [
    situation
    for situation in SITUATIONS
    if situation.name in ("plan", "execute", "validate", "continue", "adjust", "stop")
]
GROWING = ("open", "write", "pwrite", "mkdir", "link", "symlink")


@pytest.fixture
def case(tmp_path: Path, empty_root: Path, request: pytest.FixtureRequest) -> Iterator[Case]:
    """Make a case; its root is a disk of its own where the parameter says so."""
    if getattr(request, "param", None) != "ballast":
        made = Case(tmp_path / "case", empty_root)
        yield made
        made.remove()
        return
    try:
        with mounted(tmp_path / "case" / "root"):
            made = Case(tmp_path / "case", empty_root)
            yield made
            for process in made.processes():
                process.kill()
    except NoMount as error:
        pytest.skip(f"a file system has to be mounted for this, which takes root: {error}")


@pytest.fixture
def disk(case: Case, request: pytest.FixtureRequest) -> Disk:
    """Return what fills the case's disk."""
    ballast = request.node.callspec.params["case"] == "ballast"
    return BallastDisk(case.root) if ballast else LayerDisk(case)


@pytest.mark.parametrize("case", ["ballast", "layer"], indirect=True)
@pytest.mark.parametrize("phase", PHASES, ids=lambda phase: phase.name)
def test_a_full_disk_is_refused_and_nothing_is_lost(
    case: Case, disk: Disk, caller: PreparedCaller, spec_of: Callable[..., dict[str, Any]], phase: Situation
) -> None:
    """The call is refused with `storage`; reading goes on; once there is space the same call has its effect once."""
    spec = spec_of(*phase.stages, approvals=[*phase.approvals])
    lead_to(phase, case, caller, spec)
    counts = event_counts(case.run) if case.runs else None
    disk.fill()
    acknowledged = case.acknowledged()
    answer = make_call(phase, case, caller, spec, disk.plan)
    assert answer is not None
    assert answer["refused"] == "storage", answer
    assert "No space left" in answer["message"]
    if counts is not None:
        assert event_counts(case.run) == counts
        read = caller.make(case, [("read_state", {"run_id": case.run.run_id})], disk.plan)
        assert read is not None
        assert read[0]["status"] == Ledger(case.run).fold().status
    disk.free()
    assert recover(phase, case, caller, spec) == []
    settle(case, caller)
    assert record_faults(case, acknowledged) == []


@pytest.mark.parametrize("case", ["ballast", "layer"], indirect=True)
def test_a_finished_stage_waits_for_space(
    case: Case, disk: Disk, caller: PreparedCaller, spec_of: Callable[..., dict[str, Any]]
) -> None:
    """The disk fills while a stage works: its outcome is committed when there is space, by this attempt or another."""
    started = ("execute_stage", {"wait_s": 0})
    answers = caller.make(case, [("plan_run", {"spec": spec_of("waits")})])
    assert answers is not None
    run_id = answers[0]["run_id"]
    caller.make(case, [(started[0], {"run_id": run_id, **started[1]})], disk.plan)
    deadline = time.monotonic() + 30
    while not (case.root / "ran.txt").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    disk.fill()
    acknowledged = case.acknowledged()
    (case.folder / "go").touch()
    time.sleep(2.0)
    read = caller.make(case, [("read_state", {"run_id": run_id})], disk.plan)
    assert read is not None
    assert read[0]["status"] in ("running", "blocked"), read
    disk.free()
    status = "running"
    while status == "running":
        waited = caller.make(case, [("execute_stage", {"run_id": run_id, "wait_s": 40})])
        assert waited is not None
        status = waited[0].get("status", "refused")
        assert time.monotonic() < deadline + 60, waited
    state = Ledger(case.run).fold()
    assert state.status == "executed", state.blocked
    assert event_counts(case.run)["executed"] == 1
    settle(case, caller)
    assert record_faults(case, acknowledged) == []


@pytest.mark.parametrize("case", ["ballast"], indirect=True)
def test_a_stage_that_fills_the_disk_names_it(
    case: Case, disk: Disk, planner: PreparedCaller, tiny_cohort: Path
) -> None:
    """Plan 0 runs out of space for its arrays: the step says so, and goes on when there is space."""
    spec = {
        "objective": "Does the disk matter?",
        "data": {
            "path": str(tiny_cohort),
            "patient": "patient",
            "label": {"column": "CN.label", "positive": "cancer", "negative": "normal"},
        },
        "stages": ["plan0"],
        "preprocess": [{"method": "hvg", "n_top_genes": 60}],
        "reduction": {"methods": ["pca"], "k": [20, 40], "seeds": [1, 2]},
        "budget": {"retries": 1},
    }
    answers = planner.make(case, [("plan_run", {"spec": spec})])
    assert answers is not None
    run_id = answers[0]["run_id"]
    disk.fill(leaving=80 * 1024)
    acknowledged = case.acknowledged()
    call: Call = ("execute_stage", {"run_id": run_id, "wait_s": 60})
    answer = _settled(case, planner, call)
    failed = [entry for entry in Ledger(case.run).log.entries() if entry.get("outcome") == "failed"]
    assert [entry["failure"] for entry in failed] == ["disk_full"] * len(failed), failed
    assert failed
    assert "the disk" in str(failed[0]["message"]) or "No space left" in str(failed[0]["message"])
    assert answer.get("status") == "blocked" or answer.get("refused") == "storage", answer
    disk.free()
    # A call may have been refused while the last try was under way: that one blocks the step once it can be written.
    answer = _settled(case, planner, call) if answer.get("refused") == "storage" else answer
    if answer["status"] == "blocked":
        proposal = {"run_id": run_id, "decision": "adjust", "proposal": 0, "rationale": "there is space again"}
        assert planner.make(case, [("decide", proposal)])
        answer = _settled(case, planner, call)
    assert answer["status"] == "executed", answer
    assert results_of(case.run).artifacts
    settle(case, planner)
    assert record_faults(case, acknowledged) == []


def _settled(case: Case, caller: PreparedCaller, call: Call) -> dict[str, Any]:
    """Call until the step runs no longer; return the last answer."""
    answer: dict[str, Any] = {"status": "running"}
    while answer.get("status") == "running":
        answers = caller.make(case, [call])
        assert answers is not None
        answer = answers[0]
    return answer


@pytest.mark.parametrize("case", ["ballast"], indirect=True)
def test_an_array_that_finds_no_space_is_no_bad_data(case: Case, disk: Disk) -> None:
    """The error that numpy raises then is classed as a full disk, which may pass."""
    import numpy as np  # noqa: PLC0415 - the other tests need no numerical library

    disk.fill(leaving=16 * 1024)
    with pytest.raises(OSError, match=r".") as raised:
        np.save(case.root / "array.npy", np.zeros(100_000))
    assert kind_of(raised.value) == "disk_full", raised.value


def test_a_person_who_approves_is_told_too(
    tmp_path: Path, empty_root: Path, caller: PreparedCaller, spec_of: Callable[..., dict[str, Any]]
) -> None:
    """`stagewright approve` on a full disk is refused in words, without a traceback."""
    one = Case(tmp_path / "case", empty_root)
    (waits,) = [situation for situation in SITUATIONS if situation.name == "approve"]
    lead_to(waits, one, caller, spec_of(*waits.stages, approvals=[*waits.approvals]))
    digest = approval_report(Ledger(one.run), Ledger(one.run).read()).digest
    done = subprocess.run(
        [*ARGV, "approve", one.run.run_id, "--reason", "seen", "--digest", digest, "--root", str(one.root)],
        env=armed_environment(one, one.plan_full("*")),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode == 3


@pytest.mark.parametrize("phase", PHASES, ids=lambda phase: phase.name)
def test_a_disk_that_fills_at_any_write(
    tmp_path: Path,
    empty_root: Path,
    caller: PreparedCaller,
    spec_of: Callable[..., dict[str, Any]],
    phase: Situation,
) -> None:
    """From any write of a call on there is no space, until a moment later: the call has its effect once in the end."""
    spec = spec_of(*phase.stages, approvals=[*phase.approvals])
    template = Case(tmp_path / "template", empty_root)
    lead_to(phase, template, caller, spec)
    recording = Case(tmp_path / "recording", template.root)
    make_call(phase, recording, caller, spec, recording.plan_record())
    points = [line.partition(" ")[0] for line in recording.recorded.read_text().splitlines()]
    points = [point for point in points if point.split(":")[1] in GROWING]
    broken: list[str] = []
    for number, point in enumerate(points):
        one = Case(tmp_path / f"full-{number}", template.root)
        freeing = threading.Timer(0.5, one.freed.touch)  # a supervisor waits for space
        freeing.start()
        make_call(phase, one, caller, spec, one.plan_full(point))
        if phase.name != "execute":
            freeing.cancel()
        freeing.join()
        one.freed.touch()
        acknowledged = one.acknowledged()
        faults = recover(phase, one, caller, spec)
        if not faults:
            settle(one, caller)
            faults = record_faults(one, acknowledged)
        broken += [f"{point}: {fault}" for fault in faults]
        one.remove()
    assert not broken, "\n".join(broken)
