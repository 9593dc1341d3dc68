"""Say of each artifact of a step which unit of work it is from, and why that ran or was taken from the run's cache."""

from collections.abc import Sequence

from pydantic import JsonValue

from stagewright.state.artifacts import Outcome, UnitRecord

__all__ = ["units_of_artifacts"]

WHY_CHARS = 160
SHOWN_UNITS = 3
OF_THE_STEP = "written by the step itself, anew in each attempt"


def units_of_artifacts(outcome: Outcome) -> dict[str, dict[str, JsonValue]]:
    """Return for each artifact, by path, its unit, how and why: short, for a line of a table.

    An artifact that several units went into ran if any of them did, and says why the first of those ran.
    """
    units: dict[str, list[UnitRecord]] = {artifact.path: [] for artifact in outcome.artifacts}
    for unit in outcome.units:
        for path in unit.artifacts:
            if path in units:
                units[path].append(unit)
    return {path: _told(found) for path, found in units.items()}


def _told(units: Sequence[UnitRecord]) -> dict[str, JsonValue]:
    if not units:
        return {"how": "ran", "why": OF_THE_STEP}
    telling = next((unit for unit in units if unit.how != "reused"), units[0])
    beyond = f" and {len(units) - SHOWN_UNITS} more" if len(units) > SHOWN_UNITS else ""
    names = ", ".join(unit.name for unit in units[:SHOWN_UNITS]) + beyond
    why = telling.why if len(telling.why) <= WHY_CHARS else telling.why[:WHY_CHARS] + "..."
    return {"unit": names, "how": telling.how, "why": why}
