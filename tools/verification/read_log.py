"""Read a log once, for everything that is compared with it."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from stagewright.state.chain import GENESIS, Entry, Head
from stagewright.state.chain_line import check_line
from stagewright.state.head_file import MOST_BYTES, head_path
from stagewright.state.log_lock import hold_log, let_go_of_log

__all__ = ["ReadLog", "read_log"]


@dataclass(slots=True)
class ReadLog:
    """What one log holds.

    Attributes
    ----------
    shown
        The log's name in problems, relative to the run directory.
    missing
        Whether there is no such file.
    hashes
        The hash that each line carries, by its number, the genesis first; None where a line is no entry.
    times
        The time that each line says, likewise.
    faults
        What is wrong with which line.
    entries
        The entries, where they were asked for, by line; None where a line is no entry.
    behind
        Bytes behind the last whole line.
    head
        The content of its head file; None without one.
    """

    shown: str
    missing: bool = False
    hashes: list[str | None] = field(default_factory=lambda: [GENESIS])
    times: list[str] = field(default_factory=lambda: ["its beginning"])
    faults: list[tuple[int, str]] = field(default_factory=list)
    entries: list[Entry | None] = field(default_factory=list)
    behind: int = 0
    head: bytes | None = None

    @property
    def n_lines(self) -> int:
        """The number of whole lines."""
        return len(self.hashes) - 1

    @property
    def head_read(self) -> Head:
        """The last entry that was read."""
        return Head(self.n_lines, self.hashes[-1] or "")

    @property
    def broken_at(self) -> int | None:
        """The first line that does not hold; None when all do."""
        return self.faults[0][0] if self.faults else None

    def holds_until(self, line: int) -> str:
        """Return in words up to where, and to which time, the log holds before a line."""
        last = min(line, self.broken_at or line) - 1
        return f"holds until line {last} ({self.times[last]})" if last > 0 else "not even its first line holds"


def read_log(path: Path, shown: str, *, keep_entries: bool = False) -> ReadLog:
    """Read a log with its head file, as both are at one moment; what is appended meanwhile is left out.

    Parameters
    ----------
    shown
        Its name in problems.
    keep_entries
        Whether the entries themselves are needed.
    """
    read = ReadLog(shown)
    try:
        file = path.open("rb")
    except OSError:
        read.missing = True
        return read
    with file:
        hold_log(file.fileno(), path.name, exclusive=False)  # appenders hold it for the length of one write
        read.head = _head_file(head_path(path))
        size = os.fstat(file.fileno()).st_size
        let_go_of_log(file.fileno())
        previous = Head(0, GENESIS)
        for number, line in enumerate(_whole_lines(file, size, read), start=1):
            checked = check_line(line, previous)
            previous, entry = checked.head, checked.entry
            read.hashes.append(None if entry is None else str(entry.get("hash")))
            read.times.append("" if entry is None else str(entry.get("at")))
            if checked.fault is not None:
                read.faults.append((number, checked.fault))
            if keep_entries:
                read.entries.append(entry)
    return read


def _whole_lines(file: BinaryIO, size: int, read: ReadLog) -> Iterator[bytes]:
    left = size
    for line in file:
        if len(line) > left or not line.endswith(b"\n"):
            break
        left -= len(line)
        yield line
        if left == 0:
            break
    read.behind = left


def _head_file(path: Path) -> bytes | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        return os.read(fd, MOST_BYTES)
    finally:
        os.close(fd)
