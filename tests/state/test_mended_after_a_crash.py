"""What a crash left half done is mended by the next transition, and by nothing else."""

import json
from collections.abc import Callable
from typing import Any

from stagewright.state.chain import ChainedLog
from stagewright.state.clock import stamp, utc_now
from stagewright.state.events import Event
from stagewright.state.ledger import Ledger
from stagewright.state.run_directory import RunDirectory
from stagewright.state.snapshot import read_snapshot

Make = Callable[..., Event]
FIELDS: dict[str, Any] = {"step": "A/one", "event": "decided", "message": "stop the run", "rationale": "enough"}


def test_a_snapshot_that_lags_is_written_again(run: RunDirectory, event: Make) -> None:
    """Whoever made the last entry of a run may have died before it could; there need not be another entry."""
    ledger = Ledger(run)
    before = run.snapshot.read_bytes()
    with ledger.transition() as transition:
        transition.commit(event("decided", decision="stop"))
    run.snapshot.write_bytes(before)
    with ledger.transition():
        pass
    assert read_snapshot(run.snapshot, ledger.log.head()) == ledger.fold()
    assert json.loads(run.snapshot.read_text())["timestamp"] == ledger.log.last()["at"]  # type: ignore[index]


def test_a_torn_tail_of_any_log_is_moved_aside(run: RunDirectory) -> None:
    """Also of a log to which nothing will be appended any more."""
    log = ChainedLog(run.log("validation"))
    log.append(stamp(utc_now()), FIELDS)
    whole = log.path.read_bytes()
    log.path.write_bytes(whole + b'{"at": "2026')
    with Ledger(run).transition():
        pass
    assert [entry["event"] for entry in log.verified()] == ["decided", "torn_tail_moved"]
    assert log.path.with_name(f"validation.log.torn-{len(whole)}").read_bytes() == b'{"at": "2026'


def test_a_torn_tail_that_was_moved_and_not_told_of_is_told_of(run: RunDirectory) -> None:
    """Killed between the cut and the entry, and killed in that entry too: one file has it all, one entry says so."""
    log = ChainedLog(run.log("decision"))
    log.append(stamp(utc_now()), FIELDS)
    size = log.size()
    aside = log.path.with_name(f"decision.log.torn-{size}")
    aside.write_bytes(b"first")
    with log.path.open("ab") as file:
        file.write(b"second")
    log.mend(stamp(utc_now()))
    assert aside.read_bytes() == b"firstsecond"
    assert [(entry["event"], entry.get("bytes")) for entry in log.verified()] == [
        ("decided", None),
        ("torn_tail_moved", 11),
    ]
    aside.with_name(f"decision.log.torn-{log.size()}").write_bytes(b"third")
    log.append(stamp(utc_now()), FIELDS)
    assert [entry["event"] for entry in log.verified()] == ["decided", "torn_tail_moved", "torn_tail_moved", "decided"]


def test_a_detail_that_was_written_before_a_crash_is_not_written_twice(run: RunDirectory, event: Make) -> None:
    """The same act made again finds its line; an act like an earlier one that was committed gets a line of its own."""
    ledger = Ledger(run)
    with ledger.transition() as transition:
        transition.detail_once("decision", FIELDS)  # and dies here
    with ledger.transition() as transition:
        transition.detail_once("decision", FIELDS)
        transition.commit(event("decided", decision="adjust", adjustments={"k": [10]}))
    assert ledger.detail("decision").head().seq == 1
    with ledger.transition() as transition:
        transition.detail_once("decision", FIELDS)
        transition.commit(event("decided", decision="stop"))
    assert ledger.detail("decision").head().seq == 2
    ledger.fold()
