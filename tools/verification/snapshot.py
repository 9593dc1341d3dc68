"""Verify RUN_STATE.json against the fold of the ledger."""

import json

from pydantic import JsonValue

from stagewright.state.chain import Head, Problem
from stagewright.state.run_directory import RunDirectory
from stagewright.state.snapshot import snapshot_document, snapshot_text
from stagewright.tools.verification.fold import FoldedLedger

__all__ = ["snapshot_problems"]


def snapshot_problems(run: RunDirectory, folded: FoldedLedger) -> list[Problem]:
    """Compare RUN_STATE.json with the fold up to the entry that it names, and that entry with the last one."""
    if not folded.holds:
        return []
    try:
        content = run.snapshot.read_bytes()
        document = json.loads(content)
        seq = document["ledger"]["seq"]
    except FileNotFoundError:
        return [Problem(run.snapshot.name, None, "is missing; the next transition writes it again from the ledger")]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        return [Problem(run.snapshot.name, None, f"is not a snapshot: {error}")]
    found = _fault(content, document, seq, folded)
    return [] if found is None else [Problem(run.snapshot.name, None, *found)]


def _fault(
    content: bytes, document: dict[str, JsonValue], seq: JsonValue, folded: FoldedLedger
) -> tuple[str, str] | None:
    """Return what is wrong with a snapshot that names an entry, and since when."""
    item = next((item for item in folded.recorded if item.entry.get("seq") == seq), None)
    last = folded.recorded[-1]
    if item is None:
        what = f"names entry {seq!r}, which the ledger does not have: the ledger was cut, or the snapshot changed"
        return what, f"the ledger holds until line {last.line} ({last.at})"
    head = Head(int(str(seq)), str(item.entry.get("hash")))
    expected = snapshot_document(item.state, head, item.at)
    as_of = f"it should say what was so at {item.at} (agent_run.log:{item.line})"
    differing = [key for key in {**expected, **document} if expected.get(key) != document.get(key)]
    if differing:
        return f"differs from the fold of the ledger up to entry {seq}: {', '.join(differing)}", as_of
    if snapshot_text(expected).encode() != content:
        return "says what the ledger says, and its bytes are not the form that was written", as_of
    if item is not last:
        return f"is behind the ledger: it says entry {seq} of {last.entry.get('seq')}", f"it is as it was at {item.at}"
    return None
