"""Group the units of an attempt by what became of them and why."""

from collections.abc import Iterable

from stagewright.state.artifacts import UnitRecord
from stagewright.tools.why.answers import UnitGroup

__all__ = ["unit_groups"]

SHOWN = 3
ORDER = {"failed": 0, "ran": 1, "reused": 2}


def unit_groups(units: Iterable[UnitRecord]) -> tuple[UnitGroup, ...]:
    """Return the units in groups of one fate and one reason: those that failed first, then those that ran."""
    found: dict[tuple[str, str], list[UnitRecord]] = {}
    for unit in units:
        why = f"{unit.error} [{unit.kind}]" if unit.how == "failed" else unit.why
        found.setdefault((unit.how, why), []).append(unit)
    groups = [
        UnitGroup(how=members[0].how, why=why, count=len(members), names=tuple(unit.name for unit in members[:SHOWN]))
        for (_, why), members in found.items()
    ]
    return tuple(sorted(groups, key=lambda group: (ORDER[group.how], -group.count)))
