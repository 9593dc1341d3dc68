"""Verify the chain of one log, that nothing but whole lines stands in it, and that its end is there."""

from collections.abc import Iterator

from stagewright.state.chain import Head, Problem
from stagewright.state.head_file import head_text, torn_between
from stagewright.tools.verification.read_log import ReadLog

__all__ = ["chain_problems"]

SHOWN = 5


def chain_problems(read: ReadLog) -> list[Problem]:
    """Return what is wrong with one log and its head file.

    The first broken lines are named, and the others counted. What stands behind the last whole line shows, and a head
    file that names an entry which the log does not have.
    """
    if read.missing:
        return [Problem(read.shown, None, "is missing; it was made when the run was planned")]
    return [*_broken_lines(read), *_behind_last_line(read), *_head_problems(read)]


def _broken_lines(read: ReadLog) -> Iterator[Problem]:
    causes = _causes(read.faults)
    for line, what in causes[:SHOWN]:
        yield Problem(read.shown, line, what, read.holds_until(line))
    if len(causes) > SHOWN:
        yield Problem(read.shown, None, f"{len(causes) - SHOWN} more lines of it do not hold")


def _causes(faults: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Leave out the line after a broken one, where all that is wrong is that it does not follow from it."""
    broken = {line for line, _ in faults}
    return [(line, what) for line, what in faults if line - 1 not in broken or "does not follow from" not in what]


def _behind_last_line(read: ReadLog) -> Iterator[Problem]:
    if read.behind:
        yield Problem(
            read.shown,
            read.n_lines + 1,
            f"{read.behind} bytes stand behind the last whole line: a write that a crash cut short (the next entry "
            "moves it aside and says so), or a line feed that was changed",
            read.holds_until(read.n_lines + 1),
        )


def _head_problems(read: ReadLog) -> Iterator[Problem]:
    shown = f"{read.shown.removesuffix('.log')}.head"
    log = read.shown.rpartition("/")[2]
    if read.head is None:
        what = f"is missing; it is made with {log} and names its last entry: whether entries were cut off is not known"
        yield Problem(shown, None, what)
        return
    named = _named(read.head)
    if _torn(read):
        return
    if named is None:
        yield Problem(shown, None, f"is no head: it does not name an entry of {log} in the form that is written")
    elif named.seq > read.n_lines:
        lost = named.seq - read.n_lines
        what = (
            f"names entry {named.seq} of {log}, which ends at entry {read.n_lines}: its last "
            f"{'entry was' if lost == 1 else f'{lost} entries were'} cut off, or this file was changed"
        )
        yield Problem(shown, None, what, f"{log} {read.holds_until(read.n_lines + 1)}")
    elif read.hashes[named.seq] != named.hash and (read.broken_at is None or read.broken_at > named.seq):
        what = (
            f"names entry {named.seq} of {log} with another hash: that log was written anew, or this file was changed"
        )
        yield Problem(shown, None, what)


def _named(content: bytes) -> Head | None:
    """Return the head that a head file names, if it does so in its one form."""
    words = content.decode("ascii", errors="replace").split('"')
    try:
        head = Head(int(words[2].strip(" :,")), words[5])
    except (IndexError, ValueError):
        return None
    return head if head.seq >= 0 and head_text(head).encode() == content else None


def _torn(read: ReadLog) -> bool:
    """Return whether a head file is what a crash in its write for the last entry leaves."""
    last, before = read.hashes[-1], read.hashes[-2] if read.n_lines else None
    if read.head is None or last is None or before is None:
        return False
    return torn_between(read.head, Head(read.n_lines - 1, before), Head(read.n_lines, last))
