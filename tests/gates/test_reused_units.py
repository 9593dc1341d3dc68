"""Whoever takes a result from the cache has to show who made it, by what the ledger seals."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from stagewright.gates.protocol import EarlierAttempt, Finding, GateContext
from stagewright.gates.reused_units import reused_units
from stagewright.state.artifacts import UnitRecord
from stagewright.state.canonical import digest_file

StepOf = Callable[..., GateContext]
KEY, ENTRY, OTHER = "1" * 64, "2" * 64, "3" * 64
RAN = UnitRecord(name="pca/k_4/seed_1", how="ran", key=KEY, entry=ENTRY, made_by=3)


@pytest.fixture
def judged(step_of: StepOf, tmp_path: Path) -> Callable[..., list[Finding]]:
    """Return a function that judges a step which took one unit from attempt 3, given what became of that."""

    def found(ended: str, *records: UnitRecord, entry: str = ENTRY, made_by: int = 3) -> list[Finding]:
        step = step_of("plan0")
        path = step.run / "attempts" / "units.json"
        path.write_text(json.dumps({"units": [record.model_dump(mode="json") for record in records]}))
        maker = EarlierAttempt.model_validate({"attempt": 3, "ended": ended})
        if records:
            sealed = {"record": "attempts/units.json", "record_sha256": digest_file(path)}
            maker = maker.model_copy(update=sealed)
        reused = RAN.model_copy(update={"how": "reused", "entry": entry, "made_by": made_by})
        asked = step.asked.model_copy(update={"earlier": (maker,)})
        outcome = step.outcome.model_copy(update={"units": (reused,)})
        return [*reused_units(replace(step, asked=asked, outcome=outcome))]

    assert tmp_path
    return found


@pytest.mark.parametrize("ended", ["executed", "failed"])
def test_what_a_sealed_record_has_passes(judged: Callable[..., list[Finding]], ended: str) -> None:
    """The attempt ran the unit and left this very entry."""
    (finding,) = judged(ended, RAN)
    assert finding.severity == "pass"
    assert finding.measured.startswith("1 of 1 units reused")


def test_what_a_lost_attempt_left_is_a_warning(judged: Callable[..., list[Finding]]) -> None:
    """Nothing sealed it, so it is named; a run that was resumed after a kill may go on."""
    (finding,) = judged("lost")
    assert finding.severity == "warn"
    assert "attempt 3, which was lost before anything sealed" in finding.measured


@pytest.mark.parametrize(
    ("records", "forged"),
    [
        ((RAN,), {"entry": OTHER}),
        ((RAN.model_copy(update={"how": "failed"}),), {}),
        ((RAN.model_copy(update={"key": OTHER}),), {}),
        ((RAN,), {"made_by": 7}),
    ],
    ids=["another result", "it failed there", "another unit", "no such attempt"],
)
def test_a_forged_entry_fails(
    judged: Callable[..., list[Finding]], records: tuple[UnitRecord, ...], forged: dict[str, object]
) -> None:
    """An entry that vouches only for itself, in the name of an attempt that has it not."""
    (finding,) = judged("executed", *records, **forged)
    assert finding.severity == "fail"


def test_a_record_that_was_changed_vouches_for_nothing(step_of: StepOf) -> None:
    """The ledger has its digest."""
    step = step_of("plan0")
    path = step.run / "attempts" / "units.json"
    path.write_text(json.dumps({"units": [RAN.model_dump(mode="json")]}))
    maker = EarlierAttempt(attempt=3, ended="failed", record="attempts/units.json", record_sha256=digest_file(path))
    path.write_text(path.read_text() + " ")
    asked = step.asked.model_copy(update={"earlier": (maker,)})
    outcome = step.outcome.model_copy(update={"units": (RAN.model_copy(update={"how": "reused"}),)})
    (finding,) = reused_units(replace(step, asked=asked, outcome=outcome))
    assert finding.severity == "fail"


def test_a_step_that_ran_everything_passes(step_of: StepOf) -> None:
    """There is nothing to vouch for."""
    (finding,) = reused_units(step_of("plan0"))
    assert finding.severity == "pass"
