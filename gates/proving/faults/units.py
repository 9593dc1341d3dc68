"""Faults in what a step says became of its units of work."""

from stagewright.gates.proving.fault_entry import DoesNotApply
from stagewright.gates.proving.spoiled_step import SpoiledStep
from stagewright.state.artifacts import UnitRecord
from stagewright.state.step_units import allowed_failures, step_units

__all__ = ["reused_from_nobody", "reused_without_record", "stranger_failed", "too_many_failed"]

FORGED = "0" * 64


def too_many_failed(step: SpoiledStep) -> None:
    """Mark one unit more as failed than the spec allows."""
    names = step_units(step.request)[: allowed_failures(step.request) + 1]
    if not names:
        raise DoesNotApply(f"{step.asked.step} has no units")
    kept = [unit for unit in step.outcome.units if unit.name not in names]
    failed = [UnitRecord(name=name, how="failed", error="injected: no convergence") for name in names]
    step.say(units=(*kept, *failed))


def stranger_failed(step: SpoiledStep) -> None:
    """Claim the failure of a unit that the step does not have, which would excuse whatever is missing."""
    failed = UnitRecord(name="no/such/unit", how="failed", error="injected")
    step.say(units=(*step.outcome.units, failed))


def reused_from_nobody(step: SpoiledStep) -> None:
    """Say of a result that it was taken from the cache, of an attempt that there never was."""
    _reuse(step, step.asked.attempt + 1)


def reused_without_record(step: SpoiledStep) -> None:
    """Say of a result that an earlier attempt made it, whose sealed record does not have it."""
    makers = [earlier.attempt for earlier in step.asked.earlier if earlier.record is not None]
    if not makers:
        raise DoesNotApply(f"no attempt before {step.asked.step} left a record")
    _reuse(step, makers[-1])


def _reuse(step: SpoiledStep, maker: int) -> None:
    if not step.outcome.units:
        raise DoesNotApply(f"{step.asked.step} records no units")
    first, *others = step.outcome.units
    forged = first.model_copy(update={"how": "reused", "made_by": maker, "key": FORGED, "entry": FORGED})
    step.say(units=(forged, *others))
