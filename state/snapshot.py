"""RUN_STATE.json: the state after the last entry of the ledger, for whoever reads the run directory.

It is a cache. Only a reader of a very long ledger believes it, while it names the ledger's head; a transition
never does.
"""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, JsonValue, ValidationError
from pydantic_core import to_json

from stagewright.state.chain import Head
from stagewright.state.replace_file import write_atomically
from stagewright.state.run_state import RunState, next_call

__all__ = [
    "read_snapshot",
    "snapshot_document",
    "snapshot_head",
    "snapshot_text",
    "write_atomically",
    "write_json_atomically",
    "write_snapshot",
]

SCHEMA_VERSION = 1


def snapshot_document(state: RunState, head: Head, timestamp: str) -> dict[str, JsonValue]:
    """Return the content of RUN_STATE.json."""
    limits = state.effective_limits
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": state.run_id,
        "objective": state.objective,
        "checkpoint": state.checkpoint,
        "stage": state.stage,
        "status": state.status,
        "attempt": state.attempt,
        "last_completed_step": state.last_completed_step,
        "next_step": _plain(next_call(state)),
        "metrics": {step: {**sealed.metrics} for step, sealed in state.sealed.items()},
        "holdout": _holdout(state),
        "gates": None if state.gates is None else _plain(state.gates) | {"verdict": state.verdict},
        "budget": {
            "runtime_s": {"used": round(state.runtime_used_s, 3), "limit": limits.runtime_s},
            "memory_bytes": {"peak": state.peak_rss_bytes, "limit": limits.memory_bytes},
            "retries": {"used_in_step": state.tries, "limit_per_step": limits.retries, "failures": state.failures},
        },
        "blocked": None if state.blocked is None else _plain(state.blocked),
        "ledger": head.as_json(),
        "timestamp": timestamp,
        "fold": _plain(state),
    }


def _holdout(state: RunState) -> dict[str, JsonValue] | None:
    """Return what a reader may know of the hold-out: how many are put aside, and their score when there is one."""
    if state.holdout is None:
        return None
    sealed = _plain(state.holdout.model_copy())
    del sealed["working"]
    return sealed | {"score": None if state.holdout_score is None else _plain(state.holdout_score)}


def snapshot_text(document: JsonValue) -> str:
    """Return the one form in which a value of such a file is written."""
    # The standard library indents in Python, which costs a commit more than its fsync does.
    return to_json(document, indent=2).decode() + "\n"


def snapshot_head(path: Path) -> Head | None:
    """Return the entry of the ledger that RUN_STATE.json names; None where it names none."""
    try:
        named = json.loads(path.read_bytes())["ledger"]
        head = Head(named["seq"], named["hash"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return head if isinstance(head.seq, int) and isinstance(head.hash, str) else None


def write_snapshot(path: Path, state: RunState, head: Head, timestamp: str) -> None:
    """Replace RUN_STATE.json by the state after the entry `head`."""
    write_json_atomically(path, snapshot_document(state, head, timestamp))


def read_snapshot(path: Path, head: Head) -> RunState | None:
    """Return the state in RUN_STATE.json if it is that after the entry `head`, else None."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["ledger"] != head.as_json() or document["schema_version"] != SCHEMA_VERSION:
            return None
        return RunState.model_validate(document["fold"])
    except (OSError, ValueError, KeyError, TypeError, ValidationError, RecursionError):
        return None  # missing, torn or of another version: the ledger has it all


def write_json_atomically(path: Path, value: JsonValue) -> None:
    """Replace a file by a value as indented JSON."""
    write_atomically(path, snapshot_text(value))


def _plain(record: BaseModel) -> dict[str, Any]:
    return record.model_dump(mode="json")
