"""Say in words which inputs of a unit differ from those of an earlier result, so that it had to run again."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping

from pydantic import JsonValue

from stagewright.stages.unit_cache.entry import Entry
from stagewright.stages.unit_cache.inputs import UnitInputs

__all__ = ["changed_inputs", "nearest"]

DIGEST = re.compile(r"^[0-9a-f]{64}$")
SHOWN = 3
VALUE_CHARS = 40


def nearest(entries: Iterable[Entry], inputs: UnitInputs) -> Entry | None:
    """Return the entry with the fewest inputs that differ, the newest among equals; None when there is no entry."""
    ranked = [(-len([*_differences(entry, inputs)]), entry.attempt, entry.key) for entry in entries]
    known = {entry.key: entry for entry in entries}
    return known[max(ranked)[2]] if ranked else None


def changed_inputs(entry: Entry, inputs: UnitInputs) -> str:
    """Return what differs, e.g. ``cells_per_patient 100 -> 1000; code of stages/reduction changed``."""
    found = [*_differences(entry, inputs)]
    beyond = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return "; ".join(found[:SHOWN]) + beyond


def _differences(entry: Entry, inputs: UnitInputs) -> Iterator[str]:
    before, after = dict(_flat("", entry.inputs)), dict(_flat("", inputs.values))
    for name in {**after, **before}:
        old, new = before.get(name), after.get(name)
        if old != new:
            yield _told(name, old, new)
    code = inputs.code
    for part in {**code, **entry.code}:
        was, now = entry.code.get(part, "none"), code.get(part, "none")
        if was != now:
            is_source = DIGEST.match(was) or DIGEST.match(now)
            yield f"code of {part} changed" if is_source else f"{part} {was} -> {now}"


def _flat(place: str, values: Mapping[str, JsonValue]) -> Iterator[tuple[str, JsonValue]]:
    """Yield every value with its dotted name; what is inside a list is one value."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(f"{place}{name}.", value)
        else:
            yield f"{place}{name}", value


def _told(name: str, old: JsonValue, new: JsonValue) -> str:
    shown = [_shown(value) for value in (old, new)]
    if any(DIGEST.match(text) or len(text) > VALUE_CHARS for text in shown):
        return f"{name} changed"
    return f"{name} {shown[0]} -> {shown[1]}"


def _shown(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
