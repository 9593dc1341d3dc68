"""Append-only logs: JSON Lines in which every line carries the hash of the line before it.

A line is the only byte form of its entry: `at, seq, step, event, message` first, for the person who reads it, then the
other keys in alphabetical order, then `prev` and `hash`. `hash` is the sha256 of the entry without `hash` in RFC 8785
canonical form. Verification compares bytes as well as hashes, so that added white space or keys in another order show.

A line is acknowledged when it has been flushed to the disk whole, its line feed included. What stands after the last
line feed is a write that a crash cut short: it was never acknowledged, so it is moved aside, never parsed, and an entry
says so. Appenders hold an OS lock on the log file itself; readers need none.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from stagewright.state.chain_line import GENESIS, Entry, Head, check_line, head_of
from stagewright.state.head_file import following_head
from stagewright.state.log_end import acknowledged_size, append_line, last_line
from stagewright.state.log_lock import hold_log
from stagewright.state.refusals import LedgerCorrupt

__all__ = ["GENESIS", "ChainedLog", "Entry", "Head", "Problem"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One place where a record does not hold together.

    Attributes
    ----------
    since
        What is known of when it happened: what the record still bears out, with the time that it says.
    """

    file: str
    line: int | None
    what: str
    since: str | None = None

    def __str__(self) -> str:
        """Return the place, the fault and since when, in one line."""
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.what}" if self.since is None else f"{place}: {self.what}; {self.since}"


class ChainedLog:
    """One append-only log file.

    Parameters
    ----------
    path
        The log file. It is made by the first append; its folder must exist.
    head_file
        Whether a head file follows it (`head_file.py`).
    """

    def __init__(self, path: Path, *, head_file: bool = False) -> None:
        self.path = path
        self._head_file = head_file

    def head(self) -> Head:
        """Return the last acknowledged entry's number and hash, reading only the end of the file.

        A shared lock keeps out a line that is written but not flushed yet: it may still be taken back.
        """
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return Head(0, GENESIS)
        try:
            hold_log(fd, self.path.name, exclusive=False)
            return head_of(last_line(fd))
        finally:
            os.close(fd)

    def size(self) -> int:
        """Return the log's size in bytes."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def append(self, at: str, fields: Mapping[str, JsonValue]) -> Entry:
        """Append one entry and return it once it is safe on the disk.

        Parameters
        ----------
        at
            The time of the act, from `clock.stamp`.
        fields
            The entry without `at`, `seq`, `prev` and `hash`.

        Raises
        ------
        OSError
            When the disk does not take the whole line; the log is then as it was before. `LogHeld`, one of them, when
            another process does not let go of the log.
        """
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            hold_log(fd, self.path.name, exclusive=True)
            self._move_torn_tail(fd, at)
            return self._append(fd, at, fields)
        finally:
            os.close(fd)

    def mend(self, at: str) -> None:
        """Move aside a write that a crash cut short, and say so in an entry; without one nothing is written.

        Raises
        ------
        OSError
            When the disk does not take it.
        """
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return
        try:
            hold_log(fd, self.path.name, exclusive=True)
            self._move_torn_tail(fd, at)
        finally:
            os.close(fd)

    def last(self) -> Entry | None:
        """Return the last acknowledged entry, reading only the end of the file; None when there is none."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        try:
            hold_log(fd, self.path.name, exclusive=False)
            line = last_line(fd)
        finally:
            os.close(fd)
        return self._parse(0, line) if line else None

    def entries(self) -> Iterator[Entry]:
        """Yield every acknowledged entry from the first, without verifying the chain.

        Raises
        ------
        LedgerCorrupt
            When an acknowledged line is not a JSON object.
        """
        for number, line in self.lines():
            yield self._parse(number, line)

    def verified(self) -> Iterator[Entry]:
        """Yield every acknowledged entry from the first, verifying bytes, numbers and hashes.

        Raises
        ------
        LedgerCorrupt
            At the first line that does not follow from the one before it.
        """
        previous = Head(0, GENESIS)
        for number, line in self.lines():
            checked = check_line(line, previous)
            if checked.entry is None or checked.fault is not None:
                raise LedgerCorrupt(str(Problem(self.path.name, number, checked.fault or "")))
            previous = checked.head
            yield checked.entry

    def problems(self) -> list[Problem]:
        """Return every line that does not follow from the one before it; empty when the chain holds."""
        found: list[Problem] = []
        previous = Head(0, GENESIS)
        for number, line in self.lines():
            checked = check_line(line, previous)
            previous = checked.head
            if checked.fault is not None:
                found.append(Problem(self.path.name, number, checked.fault))
        return found

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Yield the number, from 1, and the bytes of each acknowledged line; a torn tail is not yielded."""
        try:
            with self.path.open("rb") as file:
                for number, line in enumerate(file, start=1):
                    if line.endswith(b"\n"):
                        yield number, line
        except FileNotFoundError:
            return

    def _append(self, fd: int, at: str, fields: Mapping[str, JsonValue]) -> Entry:
        last = head_of(last_line(fd))
        if not self._head_file:
            return append_line(fd, at, fields, last)
        with following_head(self.path, last) as head:
            entry = append_line(fd, at, fields, last)
            head.move_on(Head(last.seq + 1, str(entry["hash"])))
        return entry

    def _parse(self, number: int, line: bytes) -> Entry:
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise LedgerCorrupt(f"{self.path.name}:{number}: is not JSON: {error}") from error
        if not isinstance(entry, dict):
            raise LedgerCorrupt(f"{self.path.name}:{number}: is not a JSON object")
        return entry

    def _move_torn_tail(self, fd: int, at: str) -> None:
        size = os.fstat(fd).st_size
        keep = acknowledged_size(fd, size)
        # Named by the place: while nothing was appended there, the entry that tells of it is still to be written.
        aside = self.path.with_name(f"{self.path.name}.torn-{keep}")
        if keep < size:
            torn = os.pread(fd, size - keep, keep)
            with aside.open("ab") as file:
                file.write(torn)
                file.flush()
                os.fsync(file.fileno())
            os.ftruncate(fd, keep)
        elif not aside.exists():
            return
        n_bytes = aside.stat().st_size
        message = f"a write of {n_bytes} bytes was cut short by a crash; it was moved to {aside.name}"
        self._append(fd, at, {"step": None, "event": "torn_tail_moved", "message": message, "bytes": n_bytes})
