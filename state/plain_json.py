"""Write and check what is in canonical form anyway with encoders in C and Rust.

An RFC 8785 encoder in Python takes most of the time of an entry of a log, and a log may have a hundred thousand. For
text, for integers of up to 15 digits and for numbers that need no exponent all encoders write the same bytes. A value
with anything else in it is left to the slow way, as is every line of a log that does not hold: only
`chain_line.fault_of` says so, and why.
"""

import hashlib
import json
from typing import Any

from pydantic import JsonValue
from pydantic_core import from_json, to_json

__all__ = ["plain_canonical", "plain_entry"]

FIRST_KEYS = ["at", "seq", "step", "event", "message"]
LAST_KEYS = ["prev", "hash"]
LEAST, MOST = 1e-4, 1e15
"""Python writes numbers outside of these with an exponent, RFC 8785 some of them without."""
LAST_OF_BASIC_PLANE = "\uffff"
"""RFC 8785 sorts keys with characters outside the basic plane in another order than Python."""

_CANONICAL = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, check_circular=False, sort_keys=True, separators=(",", ":")
).encode
_AS_WRITTEN = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False).encode


def plain_canonical(value: object) -> bytes | None:
    """Return the RFC 8785 form of a value; None where the slow way has to write it, or to refuse it."""
    try:
        if not _is_plain(value):
            return None
        text = _CANONICAL(value)
        return text.encode() if _in_basic_plane(text) else None
    except (ValueError, TypeError, RecursionError):
        return None


def plain_entry(line: bytes) -> dict[str, JsonValue] | None:
    """Return the entry of a line that carries its own hash and stands in its one form; None where that is not certain.

    Whether it follows the line before it is not looked at.
    """
    try:
        text = line.decode()
        entry = from_json(line)
        if type(entry) is not dict or _AS_WRITTEN(entry) != text[:-1] or not text.endswith("\n"):
            return None
        keys = list(entry)
        between = keys[5:-2]
        if keys[:5] != FIRST_KEYS or keys[-2:] != LAST_KEYS or between != sorted(between) or not _in_basic_plane(text):
            return None
        if not _is_plain([*entry.values()], parsed=True):
            return None
        keys.remove("hash")
        canonical = to_json({key: entry[key] for key in sorted(keys)})
    except (ValueError, RecursionError):
        return None
    return entry if hashlib.sha256(canonical).hexdigest() == entry["hash"] else None


def _in_basic_plane(text: str) -> bool:
    return text.isascii() or max(text) <= LAST_OF_BASIC_PLANE


def _is_plain(value: object, *, parsed: bool = False) -> bool:
    """Return whether every encoder writes a value in the same way, and a parser gives it back.

    Parameters
    ----------
    parsed
        Whether it comes from a line of a log: keys are text then, and have to stand in their order.
    """
    inside: list[Any] = [[value]]
    while inside:
        container = inside.pop()
        if type(container) is dict:
            keys = list(container)
            if keys != sorted(keys) if parsed else not all(type(key) is str for key in keys):
                return False
            container = container.values()
        for item in container:
            kind = type(item)
            if kind is str or item is None or kind is bool:
                continue
            if kind is dict or kind is list:
                inside.append(item)
            elif not (kind is int or kind is float) or not _is_plain_number(item):
                return False
    return True


def _is_plain_number(number: float) -> bool:
    if type(number) is int:
        return -MOST < number < MOST
    return LEAST <= abs(number) < MOST and not number.is_integer()
