"""One line of a chained log: its one byte form, the hash that it carries, and whether it follows the line before it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from stagewright.state.canonical import digest_json
from stagewright.state.plain_json import plain_entry
from stagewright.state.refusals import LedgerCorrupt

__all__ = [
    "GENESIS",
    "NOT_AN_ENTRY",
    "Checked",
    "Entry",
    "Head",
    "check_line",
    "fault_of",
    "head_of",
    "in_order",
    "serialise",
]

Entry = dict[str, JsonValue]

FIRST_KEYS = ("at", "seq", "step", "event", "message")
LAST_KEYS = ("prev", "hash")
GENESIS = "0" * 64
MOST = 2**53
NOT_AN_ENTRY = "is not a JSON object with seq and hash"


@dataclass(frozen=True, slots=True)
class Head:
    """The last entry of a log: its number, counted from 1 (0 for an empty log), and its hash."""

    seq: int
    hash: str

    def as_json(self) -> dict[str, JsonValue]:
        """Return the head in the form in which another log's entry anchors it."""
        return {"seq": self.seq, "hash": self.hash}


def serialise(entry: Mapping[str, JsonValue]) -> bytes:
    """Return the one byte form of an entry, line feed included."""
    middle = sorted(key for key in entry if key not in (*FIRST_KEYS, *LAST_KEYS))
    order = [*(key for key in FIRST_KEYS if key in entry), *middle, *(key for key in LAST_KEYS if key in entry)]
    line = {key: in_order(entry[key]) for key in order}
    return json.dumps(line, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def in_order(value: JsonValue) -> JsonValue:
    """Return a value as it reads back from a line: the keys of every object sorted, whole numbers without a point."""
    if isinstance(value, dict):
        return {key: in_order(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [in_order(item) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < MOST:
        return int(value)  # 2.0 and 2 are one number with one hash, so they have one form
    return value


def head_of(line: bytes) -> Head:
    """Return the number and hash that a line carries; of no line, those that the first one follows.

    Raises
    ------
    LedgerCorrupt
        When it carries none.
    """
    if not line:
        return Head(0, GENESIS)
    try:
        entry = json.loads(line)
        return Head(int(entry["seq"]), str(entry["hash"]))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise LedgerCorrupt(f"the last line of a log has no seq and hash: {line[:80]!r}") from error


@dataclass(frozen=True, slots=True)
class Checked:
    """One line that was compared with the line before it.

    Attributes
    ----------
    entry
        None where the line is no JSON object.
    head
        What the next line has to follow.
    fault
        Why the line does not hold; None when it does.
    """

    entry: Entry | None
    head: Head
    fault: str | None


def check_line(line: bytes, previous: Head) -> Checked:
    """Parse a line, and say whether it follows `previous` and is as it was written."""
    entry = plain_entry(line)
    if entry is not None and entry["seq"] == previous.seq + 1 and entry["prev"] == previous.hash:
        return Checked(entry, Head(previous.seq + 1, str(entry["hash"])), None)
    try:
        entry = json.loads(line)
        head = head_of(line)
    except (ValueError, RecursionError, LedgerCorrupt):
        entry = None
    if not isinstance(entry, dict):
        return Checked(None, Head(previous.seq + 1, "unreadable"), NOT_AN_ENTRY)
    return Checked(entry, head, fault_of(entry, line, previous))


def fault_of(entry: Entry, line: bytes, previous: Head) -> str | None:
    """Return why an entry, read from `line`, does not follow `previous`; None when it does."""
    if entry.get("seq") != previous.seq + 1:
        return f"has seq {entry.get('seq')!r} where {previous.seq + 1} follows"
    if entry.get("prev") != previous.hash:
        return "does not follow from the line before it (prev differs): a line was changed, inserted, removed or moved"
    try:
        digest = digest_json({key: value for key, value in entry.items() if key != "hash"})
        form = serialise(entry)
    except (ValueError, RecursionError) as error:
        return f"holds a value that no entry can hold: {error}"
    if entry.get("hash") != digest:
        return "was changed (hash differs from its content)"
    if form != line:
        return "was changed (its bytes are not the form that was written)"
    return None
