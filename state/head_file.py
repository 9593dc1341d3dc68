"""The head file of a log, `tool_calls.head` beside `tool_calls.log`: which entry was the last one, and its hash.

A chain does not show where it ended: whole lines cut off its end leave a chain that holds. The ledger anchors the other
logs as of its own last entry; what they got since then only their head files tell. The head follows each append while
the log's lock is held. It may lag behind the log, after a kill between the two writes or on a disk that took only the
first, and is never ahead of it: the entry is on the disk before. So a head that names what the log does not have means
that the log was cut or written anew, and it is left as it is, for ever: appending to what is left hides nothing.

It is written in place, in one write of less than a sector, and not flushed: a new file under the same name would double
the cost of an entry. A power cut finds the old content on the disk or the new one. Should a write ever be cut in two,
what it leaves is the beginning of the new head and the end of the one before, which `torn_between` recognises.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from stagewright.state.chain_line import GENESIS, Head, head_of
from stagewright.state.durable import write_durably
from stagewright.state.refusals import LedgerCorrupt

__all__ = ["MOST_BYTES", "FollowingHead", "following_head", "head_path", "head_text", "read_head", "torn_between"]

MOST_BYTES = 512


def head_path(log: Path) -> Path:
    """Return the place of a log's head file."""
    return log.with_suffix(".head")


def head_text(head: Head) -> str:
    """Return the one form of a head file."""
    return f'{{"seq": {head.seq}, "hash": "{head.hash}"}}\n'


def read_head(path: Path | str) -> Head | None:
    """Return what a head file names; None where it is missing or is none."""
    try:
        content = Path(path).read_bytes()
        named = json.loads(content)
        head = Head(named["seq"], named["hash"])
        return head if head_text(head).encode() == content and isinstance(head.seq, int) else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


class FollowingHead:
    """The head file of a log that is being appended to.

    Parameters
    ----------
    fd
        The head file, open.
    follows
        Whether it names an entry of the log, so that it may go on with it.
    """

    def __init__(self, fd: int, *, follows: bool) -> None:
        self._fd = fd
        self._follows = follows

    def move_on(self, after: Head) -> None:
        """Let the head name an entry that was appended and is on the disk."""
        if self._follows:
            with suppress(OSError):  # the entry is acknowledged; the head lags until the next one
                os.pwrite(self._fd, head_text(after).encode(), 0)  # never shorter than before: numbers grow


@contextmanager
def following_head(log: Path, last: Head) -> Iterator[FollowingHead]:
    """Give the head file of a log that ends with `last`, and whose lock is held; where there is none it is made first.

    Raises
    ------
    OSError
        When there is none and the disk does not take it.
    """
    path = os.fspath(log).removesuffix(".log") + ".head"
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        write_durably(head_path(log), head_text(last))
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        content = os.pread(fd, MOST_BYTES, 0)
        follows = content == head_text(last).encode()
        if not follows:  # it lags, or the log was cut, or a crash cut its last write in two, or it is no head at all
            known = read_head(path)
            before = Head(last.seq - 1, _hash_of(log, last.seq - 1) or "")
            torn = known is None or torn_between(content, before, last)
            follows = torn or (known is not None and _hash_of(log, known.seq) == known.hash)
            if torn:
                os.ftruncate(fd, 0)
                os.pwrite(fd, head_text(last).encode(), 0)
        yield FollowingHead(fd, follows=follows)
    finally:
        os.close(fd)


def torn_between(content: bytes, before: Head, after: Head) -> bool:
    """Return whether a head file holds what a write of `after` over `before` leaves when it is cut in two.

    One byte that is not that of the new head is no such thing: an edit may hit by chance what stood there before.
    """
    old, new = head_text(before).encode(), head_text(after).encode()
    if sum(one != other for one, other in zip(content, new, strict=False)) == 1 and len(content) == len(new):
        return False
    return any(content == new[:cut] + old[cut:] for cut in range(1, len(new)))


def _hash_of(log: Path, seq: int) -> str | None:
    """Return the hash of an entry; None where there is no such one. Only a head that is not the last is looked for."""
    if seq <= 0:
        return GENESIS if seq == 0 else None
    with suppress(OSError, LedgerCorrupt), log.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if number == seq:
                return head_of(line).hash
    return None
