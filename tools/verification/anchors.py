"""Verify that the heads which the ledger anchors are entries of the other logs."""

from dataclasses import dataclass, field

from pydantic import JsonValue

from stagewright.state.chain import Problem
from stagewright.tools.verification.fold import LEDGER, Recorded
from stagewright.tools.verification.read_log import ReadLog
from stagewright.tools.verification.record import ReadRecord

__all__ = ["anchor_problems"]


def anchor_problems(record: ReadRecord) -> list[Problem]:
    """Compare the heads that each entry of the ledger anchors with the entries of the other logs.

    One problem for each log: the first anchor that does not fit, and how many more do not. A log that is missing, or
    whose own chain is broken where the anchor points, is a problem that was named already.
    """
    found: list[Problem] = []
    for name, log in record.details.items():
        if log.missing:
            continue
        compared = _compared(record.folded.recorded, log, name)
        if compared.faults:
            (item, what), more = compared.faults[0], len(compared.faults) - 1
            after = f" (so do {more} later lines)" if more > 1 else " (so does a later line)" if more else ""
            found.append(Problem(LEDGER, item.line, what + after, _since(compared.last_fit, log, name)))
    return found


@dataclass(slots=True)
class _Compared:
    """The anchors of one log: those that do not fit, and the last one before them that does, with its number."""

    faults: list[tuple[Recorded, str]] = field(default_factory=list)
    last_fit: tuple[Recorded, int] | None = None


def _since(last_fit: tuple[Recorded, int] | None, log: ReadLog, name: str) -> str:
    ends = f"{name}.log now ends at entry {log.n_lines} ({log.times[-1]})"
    if last_fit is None:
        return f"no earlier line of the ledger fits it; {ends}"
    item, seq = last_fit
    return f"{name}.log fits the ledger until entry {seq}, anchored at {item.at} (line {item.line}); {ends}"


def _compared(recorded: list[Recorded], log: ReadLog, name: str) -> _Compared:
    found = _Compared()
    before = 0
    for item in recorded:
        if item.event.event == "torn_tail_moved":  # written by the log itself, which knows of no other log
            continue
        anchors = item.entry.get("anchors")
        anchor = anchors.get(name) if isinstance(anchors, dict) else None
        seq = anchor.get("seq") if isinstance(anchor, dict) else None
        if not isinstance(anchor, dict) or not isinstance(seq, int):
            found.faults.append((item, f"does not anchor {name}.log"))
        elif seq < before:
            found.faults.append((item, f"anchors entry {seq} of {name}.log after an earlier line anchored {before}"))
        elif log.broken_at is not None and log.broken_at <= seq <= log.n_lines:
            continue
        elif (fault := _fault(log.hashes, seq, anchor.get("hash"), name)) is not None:
            found.faults.append((item, fault))
        else:
            before = seq
            found.last_fit = found.last_fit if found.faults else (item, seq)
    return found


def _fault(hashes: list[str | None], seq: int, digest: JsonValue, name: str) -> str | None:
    if not 0 <= seq < len(hashes):
        return f"anchors entry {seq} of {name}.log, which is not there: that log was cut"
    if hashes[seq] != digest:
        return f"anchors entry {seq} of {name}.log with another hash: that log was changed"
    return None
