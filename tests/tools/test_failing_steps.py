"""Steps that fail, are killed, grow too large or take too long: bounded, recorded, and never left running."""

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from stagewright.state.attempts import SCRATCH
from stagewright.state.executor import ExecutorChoice
from stagewright.state.ledger import Ledger
from stagewright.state.lock import is_alive
from stagewright.state.policy import parse_policy
from stagewright.state.refusals import Refusal
from stagewright.tools import Workspace

pytestmark = pytest.mark.usefixtures("look_here")

Call = Callable[..., dict[str, Any]]
Plan = Callable[..., str]
STOP = {"decision": "stop", "rationale": "enough"}


def pid_of(root: Path) -> int:
    """Return the pid that a command wrote, once it has."""
    deadline = time.monotonic() + 20
    while not (root / "pid").exists():
        assert time.monotonic() < deadline, "the command did not start"
        time.sleep(0.02)
    return int((root / "pid").read_text())


def gone(pid: int, within_s: float) -> bool:
    """Return whether a process ends in time; a zombie has ended."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def settled(workspace: Workspace, run_id: str, count: int) -> list[dict[str, Any]]:
    """Return the entries about ended attempts once there are `count`."""
    deadline = time.monotonic() + 20
    while True:
        entries = [dict(entry) for entry in Ledger(workspace.run(run_id)).log.entries()]
        ended = [entry for entry in entries if entry["event"] == "attempt_finished"]
        if len(ended) >= count:
            return ended
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_permanent_failure_blocks_at_once(call: Call, plan: Plan, workspace: Workspace) -> None:
    """Trying a bug again gives the same bug: the step is blocked with its traceback, last lines and proposals."""
    run_id = plan("crashes")
    reply = call("execute_stage", run_id=run_id)
    assert (reply["status"], reply["attempt"]) == ("blocked", 1)
    blocked = reply["blocked"]
    assert "ended with status 1" in blocked["error"]
    assert "CommandFailed" in (workspace.run(run_id).path / blocked["traceback"]).read_text()
    assert any("there is no such gene" in line for line in blocked["last_lines"])
    assert all(len(line) < 130 for line in blocked["last_lines"])
    assert reply["next"]["arguments"] == {"run_id": run_id, "decision": "adjust", "rationale": "...", "proposal": 0}


def test_a_proposal_opens_a_blocked_step(call: Call, plan: Plan) -> None:
    """`next` can be followed as it is; the step may fail again, as another attempt."""
    run_id = plan("crashes")
    call("execute_stage", run_id=run_id)
    reply = call("decide", run_id=run_id, decision="adjust", rationale="try it", proposal=0)
    assert (reply["status"], reply["step"]) == ("planned", "A/crashes")
    assert "have the command behind crashes mended (its last line: " in reply["summary"]
    again = call("execute_stage", run_id=run_id)
    assert (again["status"], again["attempt"], again["budget"]["failures"]) == ("blocked", 2, 2)
    with pytest.raises(Refusal, match=r"proposal: got 9; there are 0 to"):
        call("decide", run_id=run_id, decision="adjust", rationale="try it", proposal=9)


def test_a_killed_worker_is_tried_again_up_to_the_bound(call: Call, plan: Plan, workspace: Workspace) -> None:
    """A transient failure: as many retries as the spec allows, each an attempt of its own, then blocked."""
    run_id = plan("killed", budget={"retries": 1})
    reply = call("execute_stage", run_id=run_id)
    assert (reply["status"], reply["attempt"]) == ("blocked", 2)
    assert "SIGKILL" in reply["blocked"]["error"]
    assert "traceback" not in reply["blocked"]
    first, second = settled(workspace, run_id, 2)
    assert [(entry["exit_status"], entry["transient"], entry["will_retry"]) for entry in (first, second)] == [
        (-9, True, True),
        (-9, True, False),
    ]
    assert first["elapsed_s"] > 0
    assert (workspace.root / "ran.txt").read_text().split() == ["A/killed", "A/killed"]


def test_a_step_that_fails_once_succeeds(call: Call, plan: Plan) -> None:
    """The agent sees one call and an executed step; the record has both attempts."""
    reply = call("execute_stage", run_id=plan("flaky"))
    assert (reply["status"], reply["attempt"], reply["budget"]["failures"]) == ("executed", 2, 1)


def test_a_command_without_results_blocks(call: Call, plan: Plan) -> None:
    """Nothing written is nothing to judge."""
    reply = call("execute_stage", run_id=plan("silent"))
    assert reply["status"] == "blocked"
    assert "wrote no file" in reply["blocked"]["error"]


@pytest.mark.parametrize("stage", ["sleeps", "stubborn", "escapes"])
def test_stop_ends_the_whole_tree(call: Call, plan: Plan, workspace: Workspace, stage: str) -> None:
    """Within seconds, also what ignores SIGTERM or left the process group."""
    run_id = plan(stage)
    call("execute_stage", run_id=run_id, wait_s=0)
    pid = pid_of(workspace.root)
    time.sleep(0.2)  # long enough to be seen by the supervisor, which looks every 50 ms
    reply = call("decide", run_id=run_id, **STOP)
    assert reply["status"] == "stopped"
    assert "its running attempt is being ended" in reply["summary"]
    assert gone(pid, within_s=5)
    ended = settled(workspace, run_id, 1)
    assert [entry["outcome"] for entry in ended] == ["cancelled"]
    assert Ledger(workspace.run(run_id)).fold().status == "stopped"
    assert all(gone(process.pid, within_s=5) for process in working_in(workspace.root))
    assert not [*workspace.run(run_id).path.glob("attempts/*/staging")]


def working_in(root: Path) -> list[psutil.Process]:
    """Return the processes that were started for a root."""
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if any(str(root) in word for word in process.info["cmdline"] or ())
    ]


def test_stop_between_two_tries_starts_no_other(call: Call, plan: Plan, workspace: Workspace) -> None:
    """The supervisor that waits to try again finds the run stopped, and ends."""
    run_id = plan("killed", budget={"retries": 5})
    call("execute_stage", run_id=run_id, wait_s=0)
    begun = len(settled(workspace, run_id, 1))
    call("decide", run_id=run_id, **STOP)
    supervisors = [process for process in working_in(workspace.root) if "supervise" in process.cmdline()]
    assert all(gone(process.pid, within_s=20) for process in supervisors)
    state = Ledger(workspace.run(run_id)).fold()
    assert (state.status, state.attempt_open) == ("stopped", False)
    assert begun <= state.attempt <= begun + 1
    log = next((workspace.run(run_id).path / "attempts").glob("*/supervisor.log")).read_text()
    assert "Traceback" not in log


def test_run_time_used_up(call: Call, plan: Plan, workspace: Workspace) -> None:
    """The attempt is ended in time; the proposal is a larger budget, and the step runs on under it."""
    run_id = plan("sleeps", budget={"runtime": "3s"})  # long enough for the command to start on a busy machine
    reply = call("execute_stage", run_id=run_id)
    assert reply["status"] == "blocked"
    assert "the run-time budget is used up: 3s were left for it" in reply["blocked"]["error"]
    assert 3 <= reply["budget"]["runtime_used_s"] < 8
    assert gone(pid_of(workspace.root), within_s=5)
    proposal = reply["blocked"]["proposals"][0]
    assert list(proposal["adjustments"]) == ["runtime"]
    assert "memory" not in str(reply["blocked"]["proposals"])
    call("decide", run_id=run_id, decision="adjust", rationale="more time", adjustments={"seeds": [1]})
    blocked = call("execute_stage", run_id=run_id)
    assert (blocked["status"], blocked["attempt"]) == ("blocked", 1)
    assert "the run-time budget is used up" in blocked["summary"]
    reply = call("decide", run_id=run_id, decision="adjust", rationale="more time", proposal=0)
    assert (reply["status"], reply["label"]) == ("planned", "loosens")
    assert reply["budget"]["runtime_left_s"] > 0
    assert call("execute_stage", run_id=run_id, wait_s=0)["attempt"] == 2
    call("decide", run_id=run_id, **STOP)


def test_no_larger_budget_than_the_operators_cap_is_proposed(
    call: Call, declare: Callable[..., dict[str, Any]], workspace: Workspace, policy_text: str
) -> None:
    """At the cap nothing more can be had; the step may still be opened or the run stopped."""
    policy = parse_policy(policy_text + '[caps]\nruntime = "0.4s"\n', workspace.root)
    within = Workspace(root=workspace.root, policy=policy)
    spec = declare("sleeps", budget={"runtime": "0.4s"})
    run_id = call("plan_run", within=within, spec=spec)["run_id"]
    reply = call("execute_stage", within=within, run_id=run_id)
    assert reply["status"] == "blocked"
    assert "runtime" not in str(reply["blocked"].get("proposals"))


def test_memory_passed(call: Call, plan: Plan, workspace: Workspace) -> None:
    """The tree is ended; reason, peak and a larger limit are told, and no retry is wasted on it."""
    run_id = plan("hungry", budget={"memory": "200MiB"})
    reply = call("execute_stage", run_id=run_id)
    assert (reply["status"], reply["attempt"]) == ("blocked", 1)
    assert "the memory budget was passed" in reply["blocked"]["error"]
    assert "of 200 MiB" in reply["blocked"]["error"]
    assert reply["budget"]["peak_rss_bytes"] > 200 * 2**20
    proposal = reply["blocked"]["proposals"][0]
    assert (proposal["handler"], proposal["adjustments"]) == ("more_memory", {"memory": f"{400 * 2**20}B"})
    assert "runtime" not in str(reply["blocked"]["proposals"])
    assert all(gone(process.pid, within_s=5) for process in working_in(workspace.root))


def test_a_stop_ends_the_wait_between_two_tries(call: Call, plan: Plan, workspace: Workspace) -> None:
    """The supervisor that waits to try again hears it at once, however long the back-off has become."""
    run_id = plan("killed", budget={"retries": 5})
    call("execute_stage", run_id=run_id, wait_s=0)
    ended = settled(workspace, run_id, 3)
    assert all(entry["retry_in_s"] > 0 for entry in ended)
    assert [entry["retry_in_s"] for entry in ended] == sorted(entry["retry_in_s"] for entry in ended)
    call("decide", run_id=run_id, **STOP)
    supervisors = [process for process in working_in(workspace.root) if "supervise" in process.cmdline()]
    assert all(gone(process.pid, within_s=3) for process in supervisors)


def test_a_lost_attempt_leaves_no_process(call: Call, plan: Plan, workspace: Workspace) -> None:
    """A worker that could not end itself with its supervisor is ended before the next attempt starts."""
    run_id = plan("sleeps")
    call("execute_stage", run_id=run_id, wait_s=0)
    command = pid_of(workspace.root)
    worker = psutil.Process(command).parent()
    assert worker is not None
    for process in (worker, psutil.Process(command)):
        process.suspend()  # as on a machine that has no time for them: they do not see their supervisor go
    supervisor = next(process for process in working_in(workspace.root) if "supervise" in process.cmdline())
    supervisor.kill()
    (workspace.root / "pid").unlink()
    assert gone(supervisor.pid, within_s=5)
    wait_until_free(workspace, run_id)
    assert call("execute_stage", run_id=run_id, wait_s=0)["attempt"] == 2
    assert gone(worker.pid, within_s=1)
    assert gone(command, within_s=1)
    call("decide", run_id=run_id, **STOP)


def wait_until_free(workspace: Workspace, run_id: str) -> None:
    """Wait until the system has taken the lock from a killed supervisor: its threads go one after the other."""
    (lock,) = (workspace.run(run_id).path / "attempts").glob("0001_*/alive.lock")
    deadline = time.monotonic() + 5
    while is_alive(lock):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_stop_of_a_lost_attempt_ends_what_it_left(call: Call, plan: Plan, workspace: Workspace) -> None:
    """Its supervisor is gone and its worker cannot act: the stop records the loss, counts it, and leaves no process."""
    run_id = plan("sleeps")
    call("execute_stage", run_id=run_id, wait_s=0)
    command = pid_of(workspace.root)
    worker = psutil.Process(command).parent()
    assert worker is not None
    for process in (worker, psutil.Process(command)):
        process.suspend()
    supervisor = next(process for process in working_in(workspace.root) if "supervise" in process.cmdline())
    supervisor.kill()
    assert gone(supervisor.pid, within_s=5)
    wait_until_free(workspace, run_id)
    reply = call("decide", run_id=run_id, **STOP)
    assert reply["status"] == "stopped"
    assert "is being ended" not in reply["summary"]
    assert gone(worker.pid, within_s=1)
    assert gone(command, within_s=1)
    state = Ledger(workspace.run(run_id)).fold()
    assert (state.attempt_open, state.failures) == (False, 1)


@pytest.mark.parametrize("lost", [False, True], ids=["stopped", "lost"])
def test_nothing_stays_on_the_disk_of_a_cluster(call: Call, plan: Plan, workspace: Workspace, *, lost: bool) -> None:
    """What an attempt that is ended had written for the workers goes with it; what others have there stays."""
    shared = workspace.root / "shared"
    executor = ExecutorChoice(kind="dask", scheduler="tcp://127.0.0.1:9", scratch=shared)
    on_cluster = replace(workspace, policy=workspace.policy.model_copy(update={"executor": executor}))
    run_id = plan("sleeps")
    call("execute_stage", within=on_cluster, run_id=run_id, wait_s=0)
    pid = pid_of(workspace.root)
    (attempt,) = workspace.run(run_id).path.glob("attempts/*")
    written = executor.scratch_of(attempt / SCRATCH)
    written.mkdir(parents=True)
    (shared / "of_another").mkdir()
    if lost:
        supervisor = next(process for process in working_in(workspace.root) if "supervise" in process.cmdline())
        supervisor.kill()
        assert gone(supervisor.pid, within_s=5)
        wait_until_free(workspace, run_id)
    call("decide", within=on_cluster, run_id=run_id, **STOP)
    assert gone(pid, within_s=5)
    assert all(gone(process.pid, within_s=5) for process in working_in(workspace.root))
    assert [path.name for path in shared.iterdir()] == ["of_another"]


def test_a_stop_is_possible_whatever_became_of_the_spec(call: Call, plan: Plan, workspace: Workspace) -> None:
    """An edited spec.yaml stops the run from going on; it does not stop anybody from ending it."""
    run_id = plan("sleeps")
    call("execute_stage", run_id=run_id, wait_s=0)
    pid = pid_of(workspace.root)
    workspace.run(run_id).spec.unlink()
    assert call("decide", run_id=run_id, **STOP)["status"] == "stopped"
    assert gone(pid, within_s=5)


def test_a_lost_attempt_whose_folder_is_gone_still_ends(call: Call, plan: Plan, workspace: Workspace) -> None:
    """Somebody made space in the wrong place: the loss is recorded all the same, and the step runs again."""
    run_id = plan("waits")
    call("execute_stage", run_id=run_id, wait_s=0)
    pid_of(workspace.root)
    supervisor = next(process for process in working_in(workspace.root) if "supervise" in process.cmdline())
    supervisor.kill()
    assert gone(supervisor.pid, within_s=5)
    wait_until_free(workspace, run_id)
    shutil.rmtree(workspace.run(run_id).path / "attempts" / "0001_A_waits")
    (workspace.root / "go").touch()
    reply = call("execute_stage", run_id=run_id)
    assert (reply["status"], reply["attempt"]) == ("executed", 2)


def test_a_command_gets_the_data_that_were_sealed(
    call: Call, declare: Callable[..., dict[str, Any]], workspace: Workspace
) -> None:
    """A file of the same size with other bytes is bad data, and the command does not run on it."""
    run_id = call("plan_run", spec=declare("ok"))["run_id"]
    data = workspace.root / "cohort.h5ad"
    content = bytearray(data.read_bytes())
    content[-1] ^= 1
    data.write_bytes(content)
    reply = call("execute_stage", run_id=run_id)
    assert (reply["status"], reply["blocked"]["kind"]) == ("blocked", "data")
    assert "is not the file that was sealed" in reply["blocked"]["error"]
    assert not (workspace.root / "ran.txt").exists()
