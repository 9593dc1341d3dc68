"""The four logs of a run as one story, merged in time."""

import heapq
from collections.abc import Iterable, Iterator

from stagewright.state.chain import Entry
from stagewright.state.ledger import Ledger

__all__ = ["merged_entries"]

# At the same instant the detail stands before the transition that it belongs to, and the call's record after it.
RANK = {"validation": 0, "decision": 1, "agent_run": 2, "tool_calls": 3}


def merged_entries(ledger: Ledger, logs: Iterable[str]) -> Iterator[tuple[str, Entry]]:
    """Yield each log's name and entry, oldest first."""
    streams = [_stream(ledger, name) for name in logs]
    for _, _, _, name, entry in heapq.merge(*streams, key=lambda item: item[:3]):
        yield name, entry


def _stream(ledger: Ledger, name: str) -> Iterator[tuple[str, int, int, str, Entry]]:
    for entry in ledger.detail(name).entries():
        seq = entry.get("seq")
        yield str(entry.get("at")), RANK[name], seq if isinstance(seq, int) else 0, name, entry
