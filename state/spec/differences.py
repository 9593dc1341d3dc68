"""Say in which places two goal specs differ."""

import json
from collections.abc import Iterator

from pydantic import JsonValue

from stagewright.state.spec.goal import GoalSpec

__all__ = ["spec_differences"]

SHOWN_CHARS = 60


def spec_differences(sealed: GoalSpec, other: GoalSpec) -> list[str]:
    """Return a line for each place, e.g. ``budget.runtime: 6h -> 12h``; empty when they declare the same."""
    before, after = (spec.model_dump(mode="json", exclude_none=True) for spec in (sealed, other))
    return list(_differences(before, after, ""))


def _differences(before: JsonValue, after: JsonValue, place: str) -> Iterator[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys([*before, *after]):
            within = f"{place}.{key}" if place else key
            if (key in before) != (key in after):  # said in one only
                old, new = (_shown(one[key]) if key in one else "not said" for one in (before, after))
                yield f"{within}: {old} -> {new}"
            else:
                yield from _differences(before[key], after[key], within)
    elif before != after:
        yield f"{place}: {_shown(before)} -> {_shown(after)}"


def _shown(value: JsonValue) -> str:
    text = "not set" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN_CHARS else text[:SHOWN_CHARS] + "..."
