"""Verify RUN_STATE.json against the fold of the ledger."""

import json

from stagewright.state.chain import Head, Problem
from stagewright.state.run_directory import RunDirectory
from stagewright.state.snapshot import snapshot_document
from stagewright.tools.verification.fold import FoldedLedger

__all__ = ["snapshot_problems"]


def snapshot_problems(run: RunDirectory, folded: FoldedLedger) -> list[Problem]:
    """Compare RUN_STATE.json with the fold up to the entry that it names, and that entry with the last one."""
    fault = _fault(run, folded) if folded.holds else None
    return [] if fault is None else [Problem(run.snapshot.name, None, fault)]


def _fault(run: RunDirectory, folded: FoldedLedger) -> str | None:
    try:
        document = json.loads(run.snapshot.read_text(encoding="utf-8"))
        seq = document["ledger"]["seq"]
    except FileNotFoundError:
        return "is missing; the next transition of the run writes it again from the ledger"
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
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
