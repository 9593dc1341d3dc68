"""Count the findings that pass instead of showing each: a validation has dozens of them, and the few others matter."""

from collections.abc import Iterable, Iterator
from itertools import groupby

from stagewright.state.chain import Entry

__all__ = ["PassedFindings"]


class PassedFindings:
    """Replaces the passing findings of a validation by one entry that counts them.

    A validation's findings are written one after the other and may arrive in pieces: they are held back until an
    entry of something else, or nothing more, follows.
    """

    def __init__(self) -> None:
        self._held: list[Entry] = []

    def counted(self, entries: Iterable[tuple[str, Entry]]) -> Iterator[tuple[str, Entry]]:
        """Yield what to show of entries that are new, each with its log's name; of none, what was held back."""
        came = False
        for passing, group in groupby(entries, key=_validation):
            came = True
            if self._held and passing != _validation(("validation", self._held[0])):
                yield self._released()
            if passing is None:
                yield from group
                continue
            for name, entry in group:
                if entry.get("severity") == "pass":
                    self._held.append(entry)
                else:
                    yield name, entry
        if self._held and not came:
            yield self._released()

    def _released(self) -> tuple[str, Entry]:
        n, first = len(self._held), self._held[0]
        self._held = []
        return "validation", first | {"message": f"{n} finding{'s' if n > 1 else ''} passed"}


def _validation(item: tuple[str, Entry]) -> tuple[str, str, str] | None:
    """Return which validation a finding belongs to; None for any other entry."""
    name, entry = item
    if name != "validation" or entry.get("event") != "finding":
        return None
    return str(entry.get("at")), str(entry.get("step")), str(entry.get("attempt"))
