"""Parse quantities that people write with their unit: `6h`, `90 s`, `16GiB`."""

import math
import re
from decimal import Decimal
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer

__all__ = ["Bytes", "Seconds", "format_bytes", "format_seconds", "parse_bytes", "parse_seconds"]

SECONDS = {"s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
BYTES = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
MOST_BYTES = 2**53
"""The largest integer that every JSON reader keeps."""
PART = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]+)\s*")


def parse_seconds(text: object) -> float:
    """Return the seconds that `text` says, e.g. ``6h``, ``1h30min``, ``45 s``.

    >>> parse_seconds("1h30min")
    5400.0

    Raises
    ------
    ValueError
        When a unit is missing or unknown, or the duration is not above zero.
    """
    allowed = "a duration with its unit, above zero, such as 45s, 30min, 6h, 1h30min or 2d"
    if not isinstance(text, str):
        raise ValueError(f"write {allowed} (a bare number has no unit)")  # noqa: TRY004 - pydantic reads ValueError
    position, total = 0, 0.0
    while position < len(text):
        part = PART.match(text, position)
        if part is None or part[2] not in SECONDS:
            raise ValueError(f"write {allowed}")
        total += float(part[1]) * SECONDS[part[2]]
        position = part.end()
    if not 0 < total < math.inf:
        raise ValueError(f"write {allowed}")
    return total


def parse_bytes(text: object) -> int:
    """Return the bytes that `text` says, e.g. ``16GiB`` or ``500 MB``.

    >>> parse_bytes("1.5KiB")
    1536

    Raises
    ------
    ValueError
        When the unit is missing or unknown, or the size is not above zero.
    """
    allowed = "a size with its unit, above zero, such as 500MB, 16GiB or 1.5TiB"
    if not isinstance(text, str):
        raise ValueError(f"write {allowed} (a bare number has no unit)")  # noqa: TRY004 - pydantic reads ValueError
    part = PART.fullmatch(text)
    units = {unit.lower(): size for unit, size in BYTES.items()}
    size = 0 if part is None else int(Decimal(part[1]) * units.get(part[2].lower(), 0))
    if not 0 < size <= MOST_BYTES:
        raise ValueError(f"write {allowed}")
    return size


def format_seconds(seconds: float) -> str:
    """Return a duration as a person reads it.

    >>> format_seconds(5400), format_seconds(12.34), format_seconds(0.25)
    ('1h30min', '12.3s', '0.25s')
    """
    if seconds < 10:  # noqa: PLR2004 - two significant places below ten seconds
        return f"{seconds:.3g}s"
    if seconds < SECONDS["min"]:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    days, rest = divmod(whole, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, second = divmod(rest, 60)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (second, "s")]
    return "".join(f"{count}{unit}" for count, unit in parts if count)


def format_bytes(size: int) -> str:
    """Return a size as a person reads it.

    >>> format_bytes(17179869184), format_bytes(1536), format_bytes(12)
    ('16 GiB', '1.5 KiB', '12 B')
    """
    value = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(value) < 1024:  # noqa: PLR2004 - the step between binary units
            return f"{value:.3g} {unit}"
        value /= 1024
    return f"{value:.3g} TiB"


def _say_seconds(value: float) -> str:
    exact = f"{Decimal(repr(value)):f}s"  # never in powers of ten, which `parse_seconds` does not read
    return format_seconds(value) if value >= 1 and value.is_integer() else exact


def _say_bytes(value: int) -> str:
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if value % BYTES[unit] == 0:
            return f"{value // BYTES[unit]}{unit}"
    return f"{value}B"


Seconds = Annotated[float, BeforeValidator(parse_seconds), PlainSerializer(_say_seconds)]
"""Seconds; written, read and dumped as text with a unit."""

Bytes = Annotated[int, BeforeValidator(parse_bytes), PlainSerializer(_say_bytes)]
"""Bytes; written, read and dumped as text with a unit."""
