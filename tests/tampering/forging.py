"""What a forger does who knows how a log is made: its chain anew, and what names its head."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from stagewright.state.chain import ChainedLog
from stagewright.state.head_file import head_path, head_text
from stagewright.state.ledger import Ledger
from stagewright.state.run_directory import RunDirectory
from stagewright.state.snapshot import write_snapshot

__all__ = ["chain_anew", "cut", "move_head", "move_snapshot"]

CHAINED = ("at", "seq", "prev", "hash")


def chain_anew(path: Path, change: Callable[[int, dict[str, Any]], object]) -> None:
    """Write a log again with some entries changed, so that its own chain holds."""
    entries: list[dict[str, Any]] = list(ChainedLog(path).entries())
    path.unlink()
    for number, entry in enumerate(entries, start=1):
        change(number, entry)
        fields = {key: value for key, value in entry.items() if key not in CHAINED}
        ChainedLog(path).append(str(entry["at"]), fields)


def cut(path: Path, lines: int = 1) -> None:
    """Take the last lines of a log away."""
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-lines]))


def move_head(path: Path) -> None:
    """Let the head file of a log name its last entry."""
    head_path(path).write_text(head_text(ChainedLog(path).head()))


def move_snapshot(run: RunDirectory) -> None:
    """Write RUN_STATE.json as the ledger has it."""
    ledger = Ledger(run)
    last = ledger.log.last() or {}
    write_snapshot(run.snapshot, ledger.fold(), ledger.log.head(), str(last["at"]))
