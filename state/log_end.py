"""The end of a log file, by its open descriptor: the last acknowledged line, what stands behind it, and one line more.

What stands behind the last line feed is a write that a crash cut short. Whoever calls holds the log's lock.
"""

import errno
import os
from collections.abc import Mapping

from pydantic import JsonValue

from stagewright.state.canonical import digest_json
from stagewright.state.chain_line import Entry, Head, serialise

__all__ = ["acknowledged_size", "append_line", "last_line"]

BLOCK_BYTES = 8192


def append_line(fd: int, at: str, fields: Mapping[str, JsonValue], last: Head) -> Entry:
    """Append one entry to a log that ends with `last`, and return it once it is on the disk.

    Raises
    ------
    OSError
        When the disk does not take the whole line; the log is then as it was before.
    """
    size = os.fstat(fd).st_size
    entry: Entry = {"at": at, "seq": last.seq + 1, **fields, "prev": last.hash}
    entry["hash"] = digest_json(entry)
    line = serialise(entry)
    try:
        _write_whole(fd, line, size)
        os.fsync(fd)
    except OSError:
        os.ftruncate(fd, size)
        raise
    return entry


def _write_whole(fd: int, line: bytes, position: int) -> None:
    written = os.pwrite(fd, line, position)
    if written != len(line):
        raise OSError(errno.ENOSPC, f"the disk took {written} of the {len(line)} bytes of a log entry")


def acknowledged_size(fd: int, size: int) -> int:
    """Return the number of bytes up to and with the last line feed."""
    end = size
    while end > 0:
        start = max(0, end - BLOCK_BYTES)
        found = os.pread(fd, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def last_line(fd: int) -> bytes:
    """Return the last acknowledged line, reading only the end of the file; empty when there is none."""
    end = acknowledged_size(fd, os.fstat(fd).st_size)
    if end == 0:
        return b""
    start, block = end - 1, b""
    while start > 0:
        step = max(0, start - BLOCK_BYTES)
        block = os.pread(fd, start - step, step) + block
        start = step
        if (found := block.rfind(b"\n")) >= 0:
            return block[found + 1 :] + b"\n"
    return block + b"\n"
