"""The four logs of a run as one story, merged in time."""

import heapq
import json
from collections.abc import Iterable, Iterator

from stagewright.state.chain import Entry
from stagewright.state.ledger import Ledger
from stagewright.state.refusals import LedgerCorrupt

__all__ = ["Follower", "merged_entries"]

# At the same instant the detail stands before the transition that it belongs to, and the call's record after it.
RANK = {"validation": 0, "decision": 1, "agent_run": 2, "tool_calls": 3}


def merged_entries(ledger: Ledger, logs: Iterable[str]) -> Iterator[tuple[str, Entry]]:
    """Yield each log's name and entry, oldest first."""
    streams = [_stream(ledger, name) for name in logs]
    for _, _, _, name, entry in heapq.merge(*streams, key=lambda item: item[:3]):
        yield name, entry


class Follower:
    """Reads logs as they grow: each call gives what was acknowledged since the one before.

    Parameters
    ----------
    ledger
        The run's ledger.
    logs
        Names of the logs to read.
    """

    def __init__(self, ledger: Ledger, logs: Iterable[str]) -> None:
        self._ledger = ledger
        self._offsets = dict.fromkeys(logs, 0)

    def newer(self) -> list[tuple[str, Entry]]:
        """Return the entries that are new, each with its log's name, oldest first.

        Raises
        ------
        LedgerCorrupt
            When a line is not a JSON object.
        """
        found = [(name, entry) for name in self._offsets for entry in self._read(name)]
        return sorted(found, key=lambda item: _order(*item))

    def _read(self, name: str) -> Iterator[Entry]:
        path = self._ledger.run.log(name)
        try:
            with path.open("rb") as file:
                file.seek(self._offsets[name])
                for line in file:
                    if not line.endswith(b"\n"):  # still being written
                        return
                    self._offsets[name] += len(line)
                    yield _parsed(path.name, line)
        except FileNotFoundError:
            return


def _parsed(name: str, line: bytes) -> Entry:
    try:
        entry = json.loads(line)
    except ValueError as error:
        raise LedgerCorrupt(f"{name} has a line that is not JSON: {error}") from error
    if not isinstance(entry, dict):
        raise LedgerCorrupt(f"{name} has a line that is not a JSON object")
    return entry


def _order(name: str, entry: Entry) -> tuple[str, int, int]:
    seq = entry.get("seq")
    return str(entry.get("at")), RANK[name], seq if isinstance(seq, int) else 0


def _stream(ledger: Ledger, name: str) -> Iterator[tuple[str, int, int, str, Entry]]:
    for entry in ledger.detail(name).entries():
        yield *_order(name, entry), name, entry
