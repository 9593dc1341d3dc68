"""Random edits of a file: what accidents, and people who would rather that it said something else, do to bytes."""

import random
from collections.abc import Callable

__all__ = ["EDITS", "Edit"]

Edit = Callable[[bytes, random.Random], bytes]
MOST_BYTES = 40


def flip_bit(content: bytes, rng: random.Random) -> bytes:
    """Change one bit."""
    at = _place(content, rng)
    return content[:at] + bytes([content[at] ^ (1 << rng.randrange(8))]) + content[at + 1 :]


def change_byte(content: bytes, rng: random.Random) -> bytes:
    """Replace one byte by a printable one, so that most texts stay readable as what they are."""
    at = _place(content, rng)
    return content[:at] + bytes([rng.randrange(32, 127)]) + content[at + 1 :]


def change_digit(content: bytes, rng: random.Random) -> bytes:
    """Replace one digit by another: a number, a digest or a time that still looks like one."""
    digits = [at for at, byte in enumerate(content) if 48 <= byte < 58]
    if not digits:
        return flip_bit(content, rng)
    at = rng.choice(digits)
    return content[:at] + bytes([rng.randrange(48, 58)]) + content[at + 1 :]


def delete_bytes(content: bytes, rng: random.Random) -> bytes:
    """Leave out some bytes."""
    at = _place(content, rng)
    return content[:at] + content[at + rng.randint(1, MOST_BYTES) :]


def insert_bytes(content: bytes, rng: random.Random) -> bytes:
    """Put some bytes in."""
    at = rng.randint(0, len(content))
    return content[:at] + rng.randbytes(rng.randint(1, MOST_BYTES)) + content[at:]


def insert_white_space(content: bytes, rng: random.Random) -> bytes:
    """Add what a parser passes over."""
    after = [at + 1 for at, byte in enumerate(content) if byte in b",:{[\n"] or [len(content)]
    at = rng.choice([*after, len(content)])
    return content[:at] + rng.choice([b" ", b"\n", b"\t", b"  "]) + content[at:]


def truncate(content: bytes, rng: random.Random) -> bytes:
    """Cut off the end, anywhere."""
    return content[: _place(content, rng)]


def cut_last_lines(content: bytes, rng: random.Random) -> bytes:
    """Cut off the end, at the beginning of a line."""
    lines = content.splitlines(keepends=True)
    return b"".join(lines[: -rng.randint(1, max(1, len(lines) // 3))])


def delete_line(content: bytes, rng: random.Random) -> bytes:
    """Leave out one line."""
    lines = content.splitlines(keepends=True)
    del lines[rng.randrange(len(lines))]
    return b"".join(lines)


def repeat_line(content: bytes, rng: random.Random) -> bytes:
    """Write one line a second time, there or somewhere else."""
    lines = content.splitlines(keepends=True)
    lines.insert(rng.randint(0, len(lines)), rng.choice(lines))
    return b"".join(lines)


def swap_lines(content: bytes, rng: random.Random) -> bytes:
    """Exchange two lines."""
    lines = content.splitlines(keepends=True)
    one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    return b"".join(lines)


def move_block(content: bytes, rng: random.Random) -> bytes:
    """Take some bytes out and put them in somewhere else."""
    at, length = _place(content, rng), rng.randint(1, 4 * MOST_BYTES)
    block, rest = content[at : at + length], content[:at] + content[at + length :]
    to = rng.randint(0, len(rest))
    return rest[:to] + block + rest[to:]


def copy_block(content: bytes, rng: random.Random) -> bytes:
    """Write some bytes over others."""
    source, to, length = _place(content, rng), _place(content, rng), rng.randint(1, 4 * MOST_BYTES)
    block = content[source : source + length][: len(content) - to]
    return content[:to] + block + content[to + len(block) :]


def blank_block(content: bytes, rng: random.Random) -> bytes:
    """Overwrite some bytes with zeros, as a lost sector is."""
    at = _place(content, rng)
    length = min(rng.randint(1, 4 * MOST_BYTES), len(content) - at)
    return content[:at] + bytes(length) + content[at + length :]


def empty(_content: bytes, _rng: random.Random) -> bytes:
    """Leave nothing."""
    return b""


def _place(content: bytes, rng: random.Random) -> int:
    return rng.randrange(len(content))


EDITS: tuple[Edit, ...] = (
    flip_bit,
    flip_bit,
    change_byte,
    change_digit,
    change_digit,
    delete_bytes,
    insert_bytes,
    insert_white_space,
    truncate,
    cut_last_lines,
    delete_line,
    repeat_line,
    swap_lines,
    move_block,
    copy_block,
    blank_block,
    empty,
)
"""Each is drawn as often as it stands here."""
