"""Write and check what is in canonical form anyway with the C encoder of the standard library.

An RFC 8785 encoder in Python takes most of the time of an entry of a log, and a log may have a hundred thousand. The
two encoders write the same bytes for text, for integers of up to 15 digits and for numbers that need no exponent. A
value with anything else in it is left to the slow way, as is every line of a log that does not hold: only
`chain_line.fault_of` says so, and why.
"""

import hashlib
import json

from pydantic import JsonValue

__all__ = ["plain_canonical", "plain_entry"]

FIRST_KEYS = ["at", "seq", "step", "event", "message"]
LAST_KEYS = ["prev", "hash"]
MOST_DIGITS = 15
LAST_OF_BASIC_PLANE = "\uffff"
"""RFC 8785 sorts keys with characters outside the basic plane in another order than Python."""


class _Unusual(Exception):  # noqa: N818 - not an error: the slow way looks at it
    """A number that two encoders may write differently."""


def _integer(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise _Unusual
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if not 1e-4 <= abs(value) < 1e15 or value.is_integer():  # noqa: PLR2004 - Python writes others with an exponent
        raise _Unusual
    return value


def _constant(name: str) -> float:
    raise _Unusual(name)


_DECODE = json.JSONDecoder(parse_int=_integer, parse_float=_float, parse_constant=_constant).decode
_CANONICAL = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, check_circular=False, sort_keys=True, separators=(",", ":")
).encode
_SORTED = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False, sort_keys=True).encode
_IN_ORDER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False).encode


def plain_canonical(value: object) -> bytes | None:
    """Return the RFC 8785 form of a value; None where the slow way has to write it, or to refuse it."""
    try:
        text = _CANONICAL(value)
        if _DECODE(text) != value or (not text.isascii() and max(text) > LAST_OF_BASIC_PLANE):
            return None
        return text.encode()
    except (_Unusual, ValueError, TypeError, RecursionError):
        return None


def plain_entry(line: bytes) -> dict[str, JsonValue] | None:
    """Return the entry of a line that carries its own hash and stands in its one form; None where that is not certain.

    Whether it follows the line before it is not looked at.
    """
    try:
        text = line.decode()
        entry = _DECODE(text)
        if type(entry) is not dict or (not text.isascii() and max(text) > LAST_OF_BASIC_PLANE):
            return None
        keys = list(entry)
        middle = keys[5:-2]
        if not middle or keys[:5] != FIRST_KEYS or keys[-2:] != LAST_KEYS or middle != sorted(middle):
            return None
        first = _IN_ORDER({key: entry[key] for key in FIRST_KEYS})
        between = _SORTED({key: entry[key] for key in middle})
        last = _IN_ORDER({key: entry[key] for key in LAST_KEYS})
        if text != f"{first[:-1]}, {between[1:-1]}, {last[1:]}\n":
            return None
        carried = entry.pop("hash")
        holds = hashlib.sha256(_CANONICAL(entry).encode()).hexdigest() == carried
        entry["hash"] = carried
    except (_Unusual, ValueError, RecursionError):
        return None
    return entry if holds else None
