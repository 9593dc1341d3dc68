"""Find the ids of patients, as the data file has them, as whole words in text.

Ids like ``1`` or ``A2`` are found everywhere by chance. They count only where a patient is meant: as the value of a
field that names patients, or after the word patient or donor.
"""

import re
from collections.abc import Iterable, Iterator

from pydantic import JsonValue

__all__ = ["RawIds", "has_word", "is_short"]

FEWEST_CHARS = 3
FEWEST_DIGITS = 5
WORD = re.compile(r"[^\W_]+")
MEANT = re.compile(r"(?:patient|donor)['\"]?(?:\s+(?:id|named|is))?\s*[=:(\[]?\s*['\"]?$", re.IGNORECASE)
FIELDS = frozenset({"patient", "patients", "donor", "donors", "working"})
LOOK_BACK = 40


def is_short(raw: str) -> bool:
    """Return whether an id is so short that it stands in texts by chance.

    >>> [is_short(raw) for raw in ("7", "P1", "P01", "2024", "20241")]
    [True, True, False, True, False]
    """
    n = sum(map(str.isalnum, raw))
    return n < FEWEST_CHARS or (raw.isdigit() and n < FEWEST_DIGITS)


def has_word(text: str, raw: str) -> bool:
    """Return whether an id stands in a text with no letter or digit beside it.

    >>> [has_word(text, "P01") for text in ("P01_AAAC-1", "see P01.", "P012", "XP01")]
    [True, True, False, False]
    """
    at = text.find(raw)
    while at >= 0:
        if _alone(text, at, at + len(raw)):
            return True
        at = text.find(raw, at + 1)
    return False


class RawIds:
    """The ids of one data file, made so that a long text is gone through once, however many there are."""

    def __init__(self, ids: Iterable[str]) -> None:
        self._by_word: dict[str, list[tuple[str, int]]] = {}
        self._all = frozenset(ids)
        for raw in self._all:
            first = WORD.search(raw)
            if first is not None:
                self._by_word.setdefault(first[0], []).append((raw, first.start()))

    def in_text(self, text: str) -> set[str]:
        """Return the ids that stand in a text."""
        return set(self._found(text))

    def in_value(self, value: JsonValue, field: str = "") -> set[str]:
        """Return the ids that stand in a JSON value, in its keys too."""
        if isinstance(value, dict):
            found = {raw for key in value for raw in self.in_text(key)}
            for key, item in value.items():
                found |= self.in_value(item, key)
            return found
        if isinstance(value, list):
            return {raw for item in value for raw in self.in_value(item, field)}
        if isinstance(value, bool) or value is None:
            return set()
        text = value if isinstance(value, str) else repr(value)
        if field in FIELDS and text in self._all:
            return {text}
        return self.in_text(text) if isinstance(value, str) else set()

    def _found(self, text: str) -> Iterator[str]:
        for word in WORD.finditer(text):
            for raw, offset in self._by_word.get(word[0], ()):
                start = word.start() - offset
                end = start + len(raw)
                if start < 0 or text[start:end] != raw or not _alone(text, start, end):
                    continue
                if not is_short(raw) or MEANT.search(text[max(0, start - LOOK_BACK) : start]):
                    yield raw


def _alone(text: str, start: int, end: int) -> bool:
    before, after = text[start - 1 : start], text[end : end + 1]
    return not (before.isalnum() or after.isalnum())
