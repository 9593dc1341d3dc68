"""Every result that was taken from the run's cache is one that an earlier attempt made, by the sealed record."""

import json
from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path

from pydantic import TypeAdapter

from stagewright.gates.finding import bounded
from stagewright.gates.protocol import Finding, GateContext
from stagewright.state.artifacts import UnitRecord
from stagewright.state.canonical import digest_file

__all__ = ["reused_units"]

_finding = partial(Finding, gate="reused_units")
WHY = "The cache lies in the run directory, where anybody can write: only what the ledger seals says who made a result."
AGAIN = "To pass: remove unit_cache/ of the run and adjust, so that the step is executed again."
WANTED = "made by an attempt whose sealed record has it"
_UNITS: TypeAdapter[list[UnitRecord]] = TypeAdapter(list[UnitRecord])


def reused_units(context: GateContext) -> Iterator[Finding]:
    """Compare each unit that was taken from the cache with the record of the attempt that made it.

    Measured is, of each reused unit, whether the attempt that its entry names ran a unit with the same key and left an
    entry with the same digest: by `outcome.json` of an attempt that was executed, by `units.json` of one that failed.

    Notes
    -----
    An attempt that was lost sealed nothing, so what it left is taken on its own digests, which find damage but not a
    forgery: a warning names those units. An entry that names an attempt which has it not is a forgery: a failure.
    """
    earlier = {item.attempt: item for item in context.asked.earlier}
    reused = [unit for unit in context.outcome.units if unit.how == "reused"]
    vouched = 0
    faults: list[Finding] = []
    for unit in reused:
        maker = None if unit.made_by is None else earlier.get(unit.made_by)
        if maker is None:
            faults.append(_fault(unit, "fail", f"its entry names attempt {unit.made_by}, which there was not before"))
        elif maker.record is None:
            said = f"made by attempt {maker.attempt}, which was {maker.ended} before anything sealed what it made"
            faults.append(_fault(unit, "warn", said))
        elif (unit.key, unit.entry) not in _made(context.run / maker.record, maker.record_sha256):
            faults.append(_fault(unit, "fail", f"the sealed record of attempt {maker.attempt} does not have it"))
        else:
            vouched += 1
    yield from bounded(faults)
    if not faults:
        yield _finding(
            subject=context.request.step,
            severity="pass",
            measured=f"{vouched} of {len(context.outcome.units)} units reused, each in the record of who made it",
            threshold=WANTED,
            reason=WHY,
        )


@lru_cache
def _made(path: Path, sealed: str | None) -> frozenset[tuple[str | None, str | None]]:
    """Return key and entry of each unit that an attempt ran, by its sealed record; none where that was changed."""
    try:
        if digest_file(path) != sealed:
            return frozenset()
        units = _UNITS.validate_python(json.loads(path.read_bytes())["units"])
    except (OSError, ValueError, KeyError, TypeError):
        return frozenset()
    return frozenset((unit.key, unit.entry) for unit in units if unit.how == "ran" and unit.entry is not None)


def _fault(unit: UnitRecord, severity: str, measured: str) -> Finding:
    return Finding.model_validate(
        {
            "gate": "reused_units",
            "subject": unit.name,
            "severity": severity,
            "measured": measured,
            "threshold": WANTED,
            "reason": f"{WHY} {AGAIN}",
        },
    )
