"""Logs that were cut at a line, or made anew by somebody who knows how: what of that shows, and by what."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from forging import chain_anew, cut, move_head, move_snapshot
from tampered_runs import STATUSES, Runs

from stagewright.state.chain import ChainedLog
from stagewright.state.head_file import head_path, head_text
from stagewright.state.ledger import Ledger
from stagewright.state.refusals import Refusal
from stagewright.state.run_directory import LOG_NAMES, RunDirectory
from stagewright.tools import Caller, Workspace, call_tool, complete
from stagewright.tools.receipt import make_receipt, receipt_faults
from stagewright.tools.verify_root import verify_root_log
from stagewright.tools.verify_run import check_run, verify_run

CALLER = Caller(client="tests")


@pytest.fixture
def copied(runs: Runs, tmp_path: Path) -> Any:  # noqa: ANN401 - a function of a status
    """Return a function that copies the run in a status to a root of its own."""

    def copy(status: str) -> RunDirectory:
        run = runs.by_status[status]
        place = tmp_path / "experiments" / run.run_id
        shutil.copytree(run.path, place)
        return RunDirectory(place)

    return copy


@pytest.mark.parametrize("name", LOG_NAMES)
@pytest.mark.parametrize("status", STATUSES)
def test_a_last_line_that_is_gone_shows(copied: Any, status: str, name: str) -> None:  # noqa: ANN401 - as above
    """Of every log, in every status, whether or not the ledger anchors that line."""
    run = copied(status)
    if not run.log(name).read_bytes():
        pytest.skip("the log has no entry yet")
    cut(run.log(name))
    n_lines = run.log(name).read_bytes().count(b"\n")
    problems = {problem.file: problem for problem in verify_run(run)}
    said = problems[f"logs/{name}.head"]
    assert (
        f"names entry {n_lines + 1} of {name}.log, which ends at entry {n_lines}: its last entry was cut" in said.what
    )
    until = f"holds until line {n_lines} (20" if n_lines else "not even its first line holds"
    assert until in str(said.since)


@pytest.mark.parametrize("name", LOG_NAMES)
@pytest.mark.parametrize("place", ["first", "last"])
def test_a_chain_that_was_made_anew_shows(copied: Any, name: str, place: str) -> None:  # noqa: ANN401 - as above
    """Whoever changes an entry and makes the chain of that log anew from there, and nothing else, is seen."""
    run = copied("completed")
    n_lines = run.log(name).read_bytes().count(b"\n")
    changed = 1 if place == "first" else n_lines
    chain_anew(run.log(name), lambda number, entry: entry.update(message="forged") if number == changed else None)
    assert ChainedLog(run.log(name)).problems() == []
    problems = [str(problem) for problem in verify_run(run)]
    assert any(problem.startswith(f"logs/{name}.head: names entry {n_lines}") for problem in problems), problems


@pytest.mark.parametrize("name", ["validation", "decision", "tool_calls"])
def test_with_its_head_file_too_the_anchors_tell(copied: Any, name: str) -> None:  # noqa: ANN401 - as above
    """The head file is anybody's to write; the ledger is not made anew with it."""
    run = copied("completed")
    chain_anew(run.log(name), lambda number, entry: entry.update(message="forged") if number == 1 else None)
    move_head(run.log(name))
    (problem,) = verify_run(run)
    assert problem.file == "logs/agent_run.log"
    assert f"of {name}.log with another hash" in problem.what
    assert f"{name}.log now ends at entry" in str(problem.since)


def test_a_ledger_made_anew_does_not_fit_the_snapshot(copied: Any) -> None:  # noqa: ANN401 - as above
    """Nor its head file; with both of them, nothing in the directory tells, and a receipt does."""
    run = copied("completed")
    receipt = make_receipt(run)
    chain_anew(run.log("agent_run"), lambda number, entry: entry.update(actor="forger") if number == 2 else None)
    assert {problem.file for problem in verify_run(run)} == {"logs/agent_run.head", "RUN_STATE.json"}
    move_head(run.log("agent_run"))
    (problem,) = verify_run(run)
    assert (problem.file, problem.what.partition(":")[2]) == ("RUN_STATE.json", " ledger")
    move_snapshot(run)
    checked = check_run(run)
    assert checked.problems == []
    (fault,) = receipt_faults(receipt, run, checked.record, checked.outcomes)
    assert fault.startswith(f"names entry {receipt.heads['agent_run'].seq} of agent_run.log with another hash")


def test_an_unanchored_call_that_is_forged_with_its_head_shows_by_a_receipt(copied: Any) -> None:  # noqa: ANN401
    """What was recorded since the ledger's last entry is told by the head file alone."""
    run = copied("completed")
    receipt = make_receipt(run)
    cut(run.log("tool_calls"))
    move_head(run.log("tool_calls"))
    checked = check_run(run)
    assert checked.problems == []
    (fault,) = receipt_faults(receipt, run, checked.record, checked.outcomes)
    assert fault.endswith("that log was cut since")


def read(run: RunDirectory, root: Path) -> None:
    complete(call_tool(Workspace(root=root), "read_state", {"run_id": run.run_id}, CALLER))


def test_the_next_calls_do_not_hide_that_a_log_was_cut(copied: Any, tmp_path: Path) -> None:  # noqa: ANN401 - as above
    """A head that names what the log does not have stays, however long the log becomes."""
    run = copied("completed")
    n_lines = run.log("tool_calls").read_bytes().count(b"\n")
    cut(run.log("tool_calls"), 2)
    for _ in range(5):
        read(run, tmp_path)
        (problem,) = [problem for problem in verify_run(run) if problem.file == "logs/tool_calls.head"]
        assert f"names entry {n_lines} of tool_calls.log" in problem.what


def test_a_ledger_that_was_cut_is_not_gone_on_with(copied: Any, tmp_path: Path) -> None:  # noqa: ANN401 - as above
    """RUN_STATE.json is written after the ledger, so one that is ahead of it is a witness and not written over."""
    run = copied("approved")
    before = run.snapshot.read_bytes()
    cut(run.log("agent_run"))
    with pytest.raises(Refusal, match="the ledger was cut or written anew") as refused:
        complete(
            call_tool(
                Workspace(root=tmp_path),
                "decide",
                {"run_id": run.run_id, "decision": "stop", "rationale": "enough"},
                CALLER,
            )
        )
    assert refused.value.code == "damaged"
    assert run.snapshot.read_bytes() == before


def test_a_head_that_lags_is_no_alarm_and_catches_up(copied: Any, tmp_path: Path) -> None:  # noqa: ANN401 - as above
    """A kill, or a full disk, between an entry and its head leaves the head behind."""
    run = copied("completed")
    path = run.log("tool_calls")
    behind = head_path(path).read_text()
    read(run, tmp_path)
    read(run, tmp_path)
    head_path(path).write_text(behind)
    assert verify_run(run) == []
    read(run, tmp_path)
    assert head_path(path).read_text() == head_text(ChainedLog(path).head())
    assert verify_run(run) == []


def test_a_head_whose_write_was_cut_in_two_is_no_alarm_and_is_mended(
    copied: Any,  # noqa: ANN401 - as above
    tmp_path: Path,
) -> None:
    """Its beginning names the new entry and its end the one before."""
    run = copied("completed")
    path = run.log("tool_calls")
    old = head_path(path).read_bytes()
    read(run, tmp_path)
    new = head_path(path).read_bytes()
    for at in (10, 30, 60):
        head_path(path).write_bytes(new[:at] + old[at:])
        assert verify_run(run) == []
    read(run, tmp_path)
    assert head_path(path).read_text() == head_text(ChainedLog(path).head())


def test_the_log_of_a_root_is_kept_as_well(tmp_path: Path) -> None:
    """Calls that name no run: cut, made anew or gone, each shows."""
    workspace = Workspace(root=tmp_path)
    assert verify_root_log(tmp_path) is None
    for _ in range(3):
        complete(call_tool(workspace, "read_state", {}, CALLER))
    path = tmp_path / "experiments" / "tool_calls.log"
    assert verify_root_log(tmp_path) == []
    whole = path.read_bytes()
    cut(path)
    (problem,) = verify_root_log(tmp_path) or []
    assert "names entry 3 of tool_calls.log, which ends at entry 2" in problem.what
    path.write_bytes(whole)
    chain_anew(path, lambda _, entry: entry.update(actor="somebody"))
    (problem,) = verify_root_log(tmp_path) or []
    assert "with another hash" in problem.what
    path.unlink()
    (problem,) = verify_root_log(tmp_path) or []
    assert problem.what.startswith("is missing")


def test_state_fold_and_snapshot_are_one_in_every_status(runs: Runs) -> None:
    """RUN_STATE.json says what the fold of the ledger says."""
    for run in runs.by_status.values():
        ledger = Ledger(run)
        assert ledger.read() == ledger.fold()
