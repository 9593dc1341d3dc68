"""Verify that the heads which the ledger anchors are entries of the other logs."""

import json

from pydantic import JsonValue

from stagewright.state.chain import GENESIS, ChainedLog, Problem
from stagewright.state.ledger import DETAIL_LOGS
from stagewright.state.run_directory import RunDirectory
from stagewright.tools.verification.fold import LEDGER, FoldedLedger, Recorded

__all__ = ["anchor_problems"]


def anchor_problems(run: RunDirectory, folded: FoldedLedger) -> list[Problem]:
    """Compare the heads that each entry of the ledger anchors with the entries of the other logs.

    One problem for each log: the first anchor that does not fit, and how many more do not. A log that is missing, or
    whose own chain is broken where the anchor points, is a problem that was named already.
    """
    found: list[Problem] = []
    for name in DETAIL_LOGS:
        log = ChainedLog(run.log(name))
        if not log.path.is_file():
            continue
        faults = _faults(folded.recorded, log, name)
        if faults:
            (line, what), more = faults[0], len(faults) - 1
            after = f" (so do {more} later lines)" if more > 1 else " (so does a later line)" if more else ""
            found.append(Problem(LEDGER, line, what + after))
    return found


def _faults(recorded: list[Recorded], log: ChainedLog, name: str) -> list[tuple[int, str]]:
    hashes = _hashes(log)
    broken = min((problem.line for problem in log.problems() if problem.line is not None), default=None)
    faults: list[tuple[int, str]] = []
    before = 0
    for item in recorded:
        if item.event.event == "torn_tail_moved":  # written by the log itself, which knows of no other log
            continue
        anchors = item.entry.get("anchors")
        anchor = anchors.get(name) if isinstance(anchors, dict) else None
        seq = anchor.get("seq") if isinstance(anchor, dict) else None
        if not isinstance(anchor, dict) or not isinstance(seq, int):
            faults.append((item.line, f"does not anchor {name}.log"))
        elif seq < before:
            faults.append((item.line, f"anchors entry {seq} of {name}.log after an earlier line anchored {before}"))
        elif broken is not None and broken <= seq < len(hashes):
            continue
        elif (fault := _fault(hashes, seq, anchor.get("hash"), name)) is not None:
            faults.append((item.line, fault))
        else:
            before = seq
    return faults


def _fault(hashes: list[str | None], seq: int, digest: JsonValue, name: str) -> str | None:
    if not 0 <= seq < len(hashes):
        return f"anchors entry {seq} of {name}.log, which is not there: that log was cut"
    if hashes[seq] != digest:
        return f"anchors entry {seq} of {name}.log with another hash: that log was changed"
    return None


def _hashes(log: ChainedLog) -> list[str | None]:
    """Return the hash that each line carries, the genesis first; None where a line is no entry."""
    found: list[str | None] = [GENESIS]
    for _, line in log.lines():
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            entry = None
        found.append(str(entry.get("hash")) if isinstance(entry, dict) else None)
    return found
