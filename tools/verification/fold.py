"""Verify that the ledger's events were possible in their order, its anchors, and RUN_STATE.json against the fold."""

import json
from dataclasses import dataclass, field

from pydantic import JsonValue, ValidationError

from stagewright.state.chain import GENESIS, ChainedLog, Entry, Head, Problem
from stagewright.state.events import Event, parse_event
from stagewright.state.ledger import DETAIL_LOGS
from stagewright.state.refusals import LedgerCorrupt
from stagewright.state.run_directory import RunDirectory
from stagewright.state.run_state import RunState
from stagewright.state.snapshot import snapshot_document
from stagewright.state.transitions import advance

__all__ = ["LEDGER", "FoldedLedger", "Recorded", "anchor_problems", "fold_ledger", "snapshot_problems"]

LEDGER = "logs/agent_run.log"


@dataclass(frozen=True, slots=True)
class Recorded:
    """One event of the ledger: its line, its entry, and the state after it."""

    line: int
    entry: Entry
    event: Event
    state: RunState


@dataclass(slots=True)
class FoldedLedger:
    """The ledger as far as it can be folded, and what is wrong with the rest."""

    recorded: list[Recorded] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def state(self) -> RunState | None:
        """The last state that could be folded."""
        return self.recorded[-1].state if self.recorded else None


def fold_ledger(run: RunDirectory) -> FoldedLedger:
    """Fold the ledger event by event; stop at the first that is no event or was impossible."""
    folded = FoldedLedger()
    state: RunState | None = None
    for line, entry in _entries(ChainedLog(run.log("agent_run"))):
        try:
            event = parse_event(entry)
            state = advance(state, event)
        except ValidationError as error:
            folded.problems.append(Problem(LEDGER, line, f"is no event of this version: {_first_line(error)}"))
            return folded
        except LedgerCorrupt as error:
            folded.problems.append(Problem(LEDGER, line, f"could not have happened then: {error}"))
            return folded
        folded.recorded.append(Recorded(line, entry, event, state))
    if state is None:
        folded.problems.append(Problem(LEDGER, None, "has no entry; a run begins with run_planned"))
    elif state.run_id != run.run_id:
        folded.problems.append(Problem(LEDGER, 1, f"is the ledger of {state.run_id}, not of {run.run_id}"))
    return folded


def anchor_problems(run: RunDirectory, folded: FoldedLedger) -> list[Problem]:
    """Compare the heads that each entry of the ledger anchors with the entries of the other logs."""
    hashes = {name: _hashes(run, name) for name in DETAIL_LOGS}
    found: list[Problem] = []
    before = dict.fromkeys(DETAIL_LOGS, 0)
    for item in folded.recorded:
        if item.event.event == "torn_tail_moved":  # written by the log itself, which knows of no other log
            continue
        anchors = item.entry.get("anchors")
        for name in DETAIL_LOGS:
            anchor = anchors.get(name) if isinstance(anchors, dict) else None
            fault = _anchor_fault(anchor, hashes[name], before[name], name)
            if fault is not None:
                found.append(Problem(LEDGER, item.line, fault))
            elif isinstance(anchor, dict) and isinstance(anchor["seq"], int):
                before[name] = anchor["seq"]
    return found


def snapshot_problems(run: RunDirectory, folded: FoldedLedger) -> list[Problem]:
    """Compare RUN_STATE.json with the fold up to the entry that it names, and that entry with the last one."""
    fault = _snapshot_fault(run, folded) if folded.recorded else None
    return [] if fault is None else [Problem(run.snapshot.name, None, fault)]


def _snapshot_fault(run: RunDirectory, folded: FoldedLedger) -> str | None:
    try:
        document = json.loads(run.snapshot.read_text(encoding="utf-8"))
        seq = document["ledger"]["seq"]
    except FileNotFoundError:
        return "is missing; the next transition of the run writes it again from the ledger"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"is not a snapshot: {error}"
    item = next((item for item in folded.recorded if item.entry.get("seq") == seq), None)
    if item is None:
        return f"names entry {seq!r}, which the ledger does not have: the ledger was cut, or the snapshot changed"
    head = Head(int(str(seq)), str(item.entry.get("hash")))
    expected = snapshot_document(item.state, head, str(item.entry.get("at")))
    differing = [key for key in {**expected, **document} if expected.get(key) != document.get(key)]
    if differing:
        return f"differs from the fold of the ledger up to entry {seq}: {', '.join(differing)}"
    last = folded.recorded[-1].entry.get("seq")
    return None if seq == last else f"is behind the ledger: it says entry {seq} of {last}"


def _anchor_fault(anchor: JsonValue, hashes: dict[int, str], before: int, name: str) -> str | None:
    if not isinstance(anchor, dict) or not isinstance(anchor.get("seq"), int):
        return f"does not anchor {name}.log"
    seq = anchor["seq"]
    if not isinstance(seq, int):
        return f"does not anchor {name}.log"
    if seq < before:
        return f"anchors entry {seq} of {name}.log after an earlier line anchored entry {before}"
    if seq not in hashes:
        return f"anchors entry {seq} of {name}.log, which is not there: that log was cut"
    if hashes[seq] != anchor.get("hash"):
        return f"anchors entry {seq} of {name}.log with another hash: that log was changed"
    return None


def _hashes(run: RunDirectory, name: str) -> dict[int, str]:
    hashes = {0: GENESIS}
    for _, entry in _entries(ChainedLog(run.log(name))):
        seq = entry.get("seq")
        if isinstance(seq, int):
            hashes[seq] = str(entry.get("hash"))
    return hashes


def _entries(log: ChainedLog) -> list[tuple[int, Entry]]:
    """Return the lines that are JSON objects; the others are the chain's problem."""
    found: list[tuple[int, Entry]] = []
    for number, line in log.lines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            found.append((number, entry))
    return found


def _first_line(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
