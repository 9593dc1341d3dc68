"""Tell of a unit of work in which attempts it ran, was reused or failed, and which input had changed."""

from stagewright.state.artifacts import UnitRecord
from stagewright.state.ledger import Ledger
from stagewright.tools.run_story import AttemptStory, RunStory, units_of
from stagewright.tools.why.answers import UnitPart, WhyUnit

__all__ = ["units_by_name", "why_unit"]

Parts = list[tuple[AttemptStory, UnitRecord]]


def units_by_name(ledger: Ledger, story: RunStory) -> dict[str, Parts]:
    """Return every unit that the record tells of, by its name, with each attempt that it was in."""
    found: dict[str, Parts] = {}
    for attempt in story.attempts.values():
        for unit in units_of(ledger.run, attempt) or ():
            found.setdefault(unit.name, []).append((attempt, unit))
    return found


def why_unit(run_id: str, story: RunStory, name: str, parts: Parts) -> WhyUnit:
    """Return what the record tells of a unit."""
    return WhyUnit(run_id=run_id, unit=name, parts=tuple(_part(story, attempt, unit) for attempt, unit in parts))


def _part(story: RunStory, attempt: AttemptStory, unit: UnitRecord) -> UnitPart:
    another = unit.made_by if unit.made_by != attempt.number else None
    maker = None if another is None else story.attempts.get(another)
    return UnitPart(
        attempt=attempt.number,
        step=attempt.step,
        at=attempt.ended_at or attempt.started_at,
        how=unit.how,
        why=unit.why,
        elapsed_s=unit.elapsed_s,
        made_by=another,
        made_at_step=None if maker is None else maker.step,
        error=None if unit.error is None else f"{unit.error} [{unit.kind}]",
        artifacts=unit.artifacts,
    )
