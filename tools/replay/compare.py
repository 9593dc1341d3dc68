"""Compare two answers: structure and words exactly, fractions within a tolerance, each difference with its place."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

from pydantic import JsonValue

from stagewright.tools.replay.cassette import Tolerance

__all__ = ["Difference", "differences"]

FRACTION = re.compile(r"(?<![\w.])-?\d+\.\d+(?:e[+-]?\d+)?")
SHOWN_CHARS = 300


class _Absent:
    def __repr__(self) -> str:
        return "nothing"


ABSENT = _Absent()


@dataclass(frozen=True, slots=True)
class Difference:
    """One place in which a replay answered otherwise."""

    place: str
    recorded: str
    replayed: str

    def lines(self) -> list[str]:
        """Return the difference as a person reads it."""
        return [f"{self.place}", f"  - {self.recorded}", f"  + {self.replayed}"]


def differences(
    recorded: JsonValue,
    replayed: JsonValue,
    tolerance: Tolerance | None,
    *,
    digests: bool = True,
    place: str = "",
    paged: bool = False,
) -> Iterator[Difference]:
    """Yield where two answers differ.

    Parameters
    ----------
    tolerance
        For numbers with a fraction, in values and in words; None where they have to be the same.
    digests
        Whether the digests and sizes of artifacts are promised to be the same.
    paged
        Whether the answer is a page of a view: one may hold more items than the other, and those both have are
        compared.
    """
    if isinstance(recorded, dict) and isinstance(replayed, dict):
        for key in dict.fromkeys([*recorded, *replayed]):
            if not digests and key in ("sha256", "bytes") and key in recorded and key in replayed:
                continue
            one, other = recorded.get(key, ABSENT), replayed.get(key, ABSENT)
            yield from _between(one, other, tolerance, digests, _below(place, key), paged=paged and key == "items")
    elif isinstance(recorded, list) and isinstance(replayed, list):
        pairs = zip(recorded, replayed, strict=False) if paged else zip_longest(recorded, replayed, fillvalue=ABSENT)
        for number, (one, other) in enumerate(pairs):
            yield from _between(one, other, tolerance, digests, f"{place}[{number}]", paged=False)
    elif not _alike(recorded, replayed, tolerance):
        yield Difference(place or "the answer", *_shown_apart(repr(recorded), repr(replayed)))


def _between(
    one: JsonValue | _Absent,
    other: JsonValue | _Absent,
    tolerance: Tolerance | None,
    digests: bool,  # noqa: FBT001 - as above
    place: str,
    *,
    paged: bool,
) -> Iterator[Difference]:
    if isinstance(one, _Absent) or isinstance(other, _Absent):
        yield Difference(place, _shown(one), _shown(other))
    else:
        yield from differences(one, other, tolerance, digests=digests, place=place, paged=paged)


def _below(place: str, key: str) -> str:
    return f"{place}.{key}" if place else key


def _alike(one: JsonValue, other: JsonValue, tolerance: Tolerance | None) -> bool:
    if one == other and isinstance(one, bool) == isinstance(other, bool):
        return True
    if tolerance is None or isinstance(one, bool) or isinstance(other, bool):
        return False
    if isinstance(one, int | float) and isinstance(other, int | float):
        whole = isinstance(one, int) and isinstance(other, int)
        return not whole and math.isclose(one, other, rel_tol=tolerance.relative, abs_tol=tolerance.absolute)
    if isinstance(one, str) and isinstance(other, str) and FRACTION.sub("#", one) == FRACTION.sub("#", other):
        pairs = zip(FRACTION.findall(one), FRACTION.findall(other), strict=True)
        return all(_as_printed(a, b, tolerance) for a, b in pairs)
    return False


def _as_printed(one: str, other: str, tolerance: Tolerance) -> bool:
    """Return whether two printed fractions are alike: within the tolerance, or one unit of the last place apart."""
    last_place = 10.0 ** -min(len(text.partition("e")[0].partition(".")[2]) for text in (one, other))
    close = max(tolerance.absolute, 1.01 * last_place)
    return math.isclose(float(one), float(other), rel_tol=tolerance.relative, abs_tol=close)


def _shown_apart(one: str, other: str) -> tuple[str, str]:
    """Return two long texts cut to where they part."""
    if max(len(one), len(other)) <= SHOWN_CHARS:
        return one, other
    parts = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    start = max(0, parts - SHOWN_CHARS // 3)
    cut = [f"{'...' if start else ''}{text[start : start + SHOWN_CHARS]}" for text in (one, other)]
    ends = ["..." if start + SHOWN_CHARS < len(text) else "" for text in (one, other)]
    return cut[0] + ends[0], cut[1] + ends[1]


def _shown(value: JsonValue | _Absent) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN_CHARS else text[:SHOWN_CHARS] + "..."
