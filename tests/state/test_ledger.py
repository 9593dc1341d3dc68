"""The ledger decides what a run's state is; the snapshot and the other logs follow it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from stagewright.state.chain import ChainedLog, Entry
from stagewright.state.clock import utc_now
from stagewright.state.events import Event
from stagewright.state.ledger import Ledger
from stagewright.state.refusals import LedgerCorrupt
from stagewright.state.run_directory import RunDirectory
from stagewright.state.snapshot import read_snapshot
from stagewright.state.transitions import ImpossibleTransition

Make = Callable[..., Event]
FINDING = {"event": "finding", "message": "pass", "step": "A/one"}


def go_on(run: RunDirectory, *events: Event) -> None:
    """Commit events one by one."""
    for event in events:
        with Ledger(run).transition() as transition:
            transition.commit(event)


def test_a_commit_is_a_line_of_the_ledger_with_the_heads_of_the_others(run: RunDirectory, event: Make) -> None:
    """The detail stands in its log before the ledger's line anchors it."""
    with Ledger(run).transition() as transition:
        detail = transition.detail("validation", FINDING)
        transition.commit(event("attempt_started", attempt=1))
    last = list(Ledger(run).log.verified())[-1]
    assert last["anchors"] == {
        "validation": {"seq": 1, "hash": detail["hash"]},
        "decision": {"seq": 0, "hash": "0" * 64},
        "tool_calls": {"seq": 0, "hash": "0" * 64},
    }
    assert last["at"] == detail["at"]


def test_an_impossible_event_writes_nothing(run: RunDirectory, event: Make) -> None:
    """The law is checked before the first byte."""
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file() and path != run.lock}
    with pytest.raises(ImpossibleTransition), Ledger(run).transition() as transition:
        transition.commit(event("decided"))
    assert before == {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file() and path != run.lock}


@pytest.mark.parametrize("log", ["validation", "decision", "tool_calls"])
def test_a_cut_of_any_log_shows(run: RunDirectory, event: Make, log: str) -> None:
    """Each ledger entry anchors the other logs, so that removing their last lines is found before anything is done."""
    ledger = Ledger(run)
    for _ in range(2):
        ledger.detail(log).append("2026-11-22T13:41:56.120Z", FINDING)
    go_on(run, event("attempt_started", attempt=1))
    path = run.log(log)
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    with pytest.raises(LedgerCorrupt, match=rf"{log}\.log ends at entry 1, the ledger anchors its entry 2"):
        ledger.fold()
    with pytest.raises(LedgerCorrupt), ledger.transition():
        pass


@pytest.mark.parametrize("log", ["validation", "decision", "tool_calls"])
def test_a_log_that_was_written_anew_shows(run: RunDirectory, event: Make, log: str) -> None:
    """A valid chain of the same length, but another."""
    Ledger(run).detail(log).append("2026-11-22T13:41:56.120Z", FINDING)
    go_on(run, event("attempt_started", attempt=1))
    run.log(log).unlink()
    Ledger(run).detail(log).append("2026-11-22T13:41:56.120Z", FINDING | {"message": "fail"})
    with pytest.raises(LedgerCorrupt, match="it was cut or changed"):
        Ledger(run).fold()


def test_entries_after_the_last_anchor_are_fine(run: RunDirectory) -> None:
    """Reads and refused calls are recorded without a transition."""
    Ledger(run).detail("tool_calls").append("2026-11-22T13:41:56.120Z", FINDING)
    assert Ledger(run).fold().status == "planned"


def test_the_snapshot_is_rebuilt_from_the_ledger(run: RunDirectory, event: Make) -> None:
    """Deleted, torn, of another version or entry: readers get the same state, and the next commit mends it."""
    ledger = Ledger(run)
    early = run.snapshot.read_text()
    go_on(run, event("attempt_started", attempt=1))
    whole = run.snapshot.read_text()
    assert read_snapshot(run.snapshot, ledger.log.head()) == ledger.fold()
    document = json.loads(whole)
    other_version = json.dumps(document | {"schema_version": 0})
    other_head = json.dumps(document | {"ledger": {"seq": 9, "hash": "0" * 64}, "fold": {}})
    for content in (None, "", whole[:100], early, other_version, other_head, "[" * 100_000):
        if content is None:
            run.snapshot.unlink()
        else:
            run.snapshot.write_text(content)
        assert read_snapshot(run.snapshot, ledger.log.head()) is None
        assert ledger.read() == ledger.fold()
    go_on(run, event("attempt_finished", attempt=1, outcome="executed"))
    assert read_snapshot(run.snapshot, ledger.log.head()) == ledger.fold()


def test_a_transition_never_believes_the_snapshot(run: RunDirectory, event: Make) -> None:
    """Whoever writes another status into RUN_STATE.json, even at the right head, moves nothing."""
    document = json.loads(run.snapshot.read_text())
    document["fold"] |= {"status": "validated", "verdict": "pass"}
    run.snapshot.write_text(json.dumps(document))
    with Ledger(run).transition() as transition:
        assert transition.state.status == "planned"
        with pytest.raises(ImpossibleTransition):
            transition.commit(event("decided"))


def test_a_full_disk_at_the_commit_acknowledges_nothing(run: RunDirectory) -> None:
    """The ledger and its state are as before, and the same commit succeeds when there is room again."""
    code = f"""
import resource
from pathlib import Path
from stagewright.state.ledger import Ledger
from stagewright.state.events import StepBlocked
from stagewright.state.records import Blocked
from stagewright.state.run_directory import RunDirectory
ledger = Ledger(RunDirectory(Path({str(run.path)!r})))
with ledger.transition() as transition:
    size = {run.log("agent_run").stat().st_size} + 100
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    try:
        transition.commit(StepBlocked(message="m" * 200, step="A/one", blocked=Blocked(error="x")))
    except OSError:
        assert transition.state.status == "planned"
        print("refused")
"""
    before = run.log("agent_run").read_bytes()
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == "refused", done.stderr
    assert run.log("agent_run").read_bytes() == before
    assert Ledger(run).read().status == "planned"


def test_a_snapshot_that_the_disk_does_not_take_does_not_undo_the_commit(run: RunDirectory, event: Make) -> None:
    """The ledger's line is the commit; readers fold it. No temporary file stays."""
    run.snapshot.unlink()
    run.snapshot.mkdir()  # nothing can be renamed onto a folder
    with Ledger(run).transition() as transition:
        assert transition.commit(event("attempt_started", attempt=1)).status == "running"
    assert Ledger(run).read().status == "running"
    assert not list(run.path.glob(".RUN_STATE*"))


def test_a_torn_tail_of_the_ledger_is_recorded_and_changes_nothing(run: RunDirectory, event: Make) -> None:
    """A crash in the middle of a commit: the transition was never acknowledged, and the next one is."""
    go_on(run, event("attempt_started", attempt=1))
    with run.log("agent_run").open("ab") as file:
        file.write(b'{"at": "2026-11-22T13:4')
    assert Ledger(run).read().status == "running"
    go_on(run, event("attempt_finished", attempt=1, outcome="executed"))
    kinds = [entry["event"] for entry in Ledger(run).log.verified()]
    assert kinds == ["run_planned", "attempt_started", "torn_tail_moved", "attempt_finished"]
    assert Ledger(run).fold().status == "executed"


def test_an_event_of_a_later_version_is_damage_for_this_one(run: RunDirectory) -> None:
    """A reader that does not know an event must not go on as if it had not happened."""
    Ledger(run).log.append("2026-11-22T13:41:56.120Z", {"event": "teleported", "message": "x", "step": None})
    with pytest.raises(LedgerCorrupt, match="entry 2 of the ledger is no event of this version"):
        Ledger(run).fold()


def test_a_forged_history_with_a_valid_chain_is_impossible(run: RunDirectory, event: Make) -> None:
    """Hashes alone do not make history: the law is folded too."""
    forged = event("step_validated", attempt=1, verdict="pass").model_dump(mode="json", exclude_none=True)
    heads: Entry = {name: head.as_json() for name, head in Ledger(run).heads().items()}
    Ledger(run).log.append("2026-11-22T13:41:56.120Z", forged | {"anchors": heads})
    with pytest.raises(ImpossibleTransition):
        Ledger(run).fold()


def test_a_ledger_line_without_anchors_is_damage(run: RunDirectory, event: Make) -> None:
    """Every commit anchors; a line that does not was not written by one."""
    fields = event("attempt_started", attempt=1).model_dump(mode="json", exclude_none=True)
    Ledger(run).log.append("2026-11-22T13:41:56.120Z", fields)
    with pytest.raises(LedgerCorrupt, match="has no anchors"):
        Ledger(run).fold()


def test_every_flipped_byte_of_the_ledger_is_found_by_a_fold(run: RunDirectory, event: Make) -> None:
    """The chain and the law together: no changed ledger is folded."""
    go_on(run, event("attempt_started", attempt=1))
    path = run.log("agent_run")
    whole = path.read_bytes()
    for place in range(0, len(whole) - 1, 7):
        edited = bytearray(whole)
        edited[place] ^= 1
        path.write_bytes(edited)
        with pytest.raises(LedgerCorrupt):
            Ledger(run).fold()


def test_four_processes_commit_one_history(run: RunDirectory) -> None:
    """Each tries to start attempt 1; the lock and the law let exactly one."""
    code = f"""
import sys
from pathlib import Path
from stagewright.state.events import AttemptStarted
from stagewright.state.ledger import Ledger
from stagewright.state.run_directory import RunDirectory
with Ledger(RunDirectory(Path({str(run.path)!r}))).transition() as transition:
    if transition.state.status == "planned":
        transition.commit(AttemptStarted(message="m", step="A/one", attempt=1, directory="d", command=("c",),
                                         request_sha256="0" * 64))
        print("started")
"""
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-P", "-c", code]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(4)]
    said = [child.communicate(timeout=60)[0].strip() for child in children]
    assert sorted(said) == ["", "", "", "started"]
    assert Ledger(run).fold().attempt == 1


def test_a_run_that_was_copied_elsewhere_reads_the_same(run: RunDirectory, event: Make) -> None:
    """Nothing in the record depends on where the directory lies."""
    go_on(run, event("attempt_started", attempt=1))
    copied = RunDirectory(run.path.parent / "elsewhere" / run.run_id)
    copied.path.parent.mkdir()
    run.path.rename(copied.path)
    assert Ledger(copied).fold().status == "running"


def test_the_first_entry_carries_the_time_of_planning(run: RunDirectory) -> None:
    """One act, one time."""
    first = next(ChainedLog(run.log("agent_run")).entries())
    assert str(first["at"]) <= utc_now().isoformat().replace("+00:00", "Z")
    assert json.loads(run.snapshot.read_text())["timestamp"] == first["at"]
