"""Files of a run that were cut, emptied, lost or changed by a bit: each is named, and mended where the ledger can."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fault_bench.caller import Call, PreparedCaller
from fault_bench.case import Case
from fault_bench.whole_record import record_faults

from stagewright.state.ledger import Ledger
from stagewright.tools.verify_run import verify_run

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]

SEALED = {
    "spec": "spec.yaml",
    "plan": "PLAN.md",
    "request": "attempts/*/request.json",
    "outcome": "attempts/*/outcome.json",
    "artifact": "A/analysis/ok/result.csv",
    "metrics": "A/analysis/ok/metrics.json",
}
"""Files whose digests the ledger holds, by a pattern of their place in the run."""

LOGS = {name: f"logs/{name}.log" for name in ("agent_run", "validation", "tool_calls", "decision")}
TARGETS = SEALED | LOGS | {"snapshot": "RUN_STATE.json"}
FLIPS = 25

DECIDE: Call = ("decide", {"decision": "continue", "rationale": "the gates passed"})
VALIDATE: Call = ("validate_stage", {})


def empty(path: Path) -> None:
    """Leave nothing in the file."""
    path.write_bytes(b"")


def halve(path: Path) -> None:
    """Cut the file in the middle."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def cut_a_byte(path: Path) -> None:
    """Cut the file's last byte."""
    path.write_bytes(path.read_bytes()[:-1])


def lose(path: Path) -> None:
    """Remove the file."""
    path.unlink()


def flip_a_bit(path: Path) -> None:
    """Change one bit in the middle of the file."""
    flip(path, path.stat().st_size // 2, 0)


def flip(path: Path, position: int, bit: int) -> None:
    """Change one bit of a file."""
    content = bytearray(path.read_bytes())
    content[position] ^= 1 << bit
    path.write_bytes(content)


DAMAGES = [empty, halve, cut_a_byte, lose, flip_a_bit]


@pytest.fixture(scope="session")
def validated(
    tmp_path_factory: pytest.TempPathFactory,
    empty_root: Path,
    caller: PreparedCaller,
    spec_of: Callable[..., dict[str, Any]],
) -> Path:
    """Make a root with a run whose first step is validated, by way of one adjustment, so that each log has entries."""
    case = Case(tmp_path_factory.mktemp("damage") / "validated", empty_root)
    answers = caller.make(case, [("plan_run", {"spec": spec_of("ok")})])
    assert answers is not None
    run_id = {"run_id": answers[0]["run_id"]}
    adjust = {"decision": "adjust", "rationale": "fewer", "adjustments": {"retries": 1}}
    for call in (("decide", adjust), ("execute_stage", {}), ("validate_stage", {}), ("read_state", {})):
        made = caller.make(case, [(call[0], {**run_id, **call[1]})])
        assert made is not None
        assert "refused" not in made[0], made
    assert verify_run(case.run) == []
    return case.root


@pytest.fixture
def case(tmp_path: Path, validated: Path) -> Case:
    """Return a copy of that root, to be damaged."""
    return Case(tmp_path / "case", validated)


def place_of(case: Case, target: str) -> Path:
    """Return the file that a target means."""
    return next(iter(sorted(case.run.path.glob(TARGETS[target]))))


def named(case: Case, path: Path) -> list[str]:
    """Return the problems of a run that name a file of it."""
    return [str(problem) for problem in verify_run(case.run) if path.name in str(problem)]


def ask(case: Case, caller: PreparedCaller, call: Call) -> dict[str, Any]:
    """Make a call on the case's run."""
    answers = caller.make(case, [(call[0], {"run_id": case.run.run_id, **call[1]})])
    assert answers is not None
    return answers[0]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("target", TARGETS)
def test_verify_names_what_is_damaged(case: Case, target: str, damage: Callable[[Path], None]) -> None:
    """Whatever happened to a file that is sealed, chained or folded, `verify` names the file."""
    place = place_of(case, target)
    damage(place)
    assert named(case, place), [str(problem) for problem in verify_run(case.run)]


@pytest.mark.parametrize("target", TARGETS)
def test_verify_names_every_flipped_bit(case: Case, target: str) -> None:
    """One bit anywhere in the file is enough."""
    place = place_of(case, target)
    whole = place.read_bytes()
    rng = random.Random(target)  # noqa: S311 - repeatable on purpose
    unnoticed = []
    for _ in range(FLIPS):
        position, bit = rng.randrange(len(whole)), rng.randrange(8)
        flip(place, position, bit)
        if not named(case, place):
            unnoticed.append((position, bit))
        place.write_bytes(whole)
    assert unnoticed == []


def test_a_flipped_bit_of_the_ledger_stops_every_call(case: Case, caller: PreparedCaller) -> None:
    """Nothing is written to a record that does not hold together; the refusal says where to look."""
    place = place_of(case, "agent_run")
    flip_a_bit(place)
    before = place.read_bytes()
    for call in (DECIDE, VALIDATE, ("execute_stage", {}), ("read_state", {})):
        answer = ask(case, caller, call)
        assert answer["refused"] == "damaged"
        assert "stagewright verify" in answer["message"]
    assert place.read_bytes() == before


@pytest.mark.parametrize("log", ["validation", "decision", "tool_calls"])
def test_a_detail_log_cut_below_its_anchor_stops_every_transition(case: Case, caller: PreparedCaller, log: str) -> None:
    """The ledger says how far each log had come, so that a log which lost entries shows at the next call."""
    empty(place_of(case, log))
    answer = ask(case, caller, DECIDE)
    assert answer["refused"] == "damaged"
    assert f"{log}.log" in answer["message"]
    assert Ledger(case.run).log.head().seq == 5


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_snapshot_is_written_again(
    case: Case, caller: PreparedCaller, damage: Callable[[Path], None]
) -> None:
    """RUN_STATE.json is a cache: nobody believes it, and the next transition makes it anew from the ledger."""
    damage(place_of(case, "snapshot"))
    assert ask(case, caller, ("read_state", {}))["status"] == "validated"
    assert ask(case, caller, DECIDE)["status"] == "planned"
    assert record_faults(case, {}) == []


@pytest.mark.parametrize("log", ["agent_run", "decision", "tool_calls"])
@pytest.mark.parametrize("tail", [b"{", b'{"at": "2026-11-22T13:41:56.120Z", "seq": 9, "step"', b"\0" * 700])
def test_a_torn_tail_is_moved_aside(case: Case, caller: PreparedCaller, log: str, tail: bytes) -> None:
    """What a crash left of a write is kept, cut off and recorded by the next entry, and the call goes on."""
    acknowledged = case.acknowledged()
    with place_of(case, log).open("ab") as file:
        file.write(tail)
    assert named(case, place_of(case, log))
    assert ask(case, caller, DECIDE)["status"] == "planned"
    (aside,) = case.run.path.glob(f"logs/{log}.log.torn-*")
    assert aside.read_bytes() == tail
    assert record_faults(case, acknowledged) == []


@pytest.mark.parametrize("target", ["artifact", "metrics", "outcome", "request"])
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_the_gates_see_a_damaged_result(
    case: Case, caller: PreparedCaller, target: str, damage: Callable[[Path], None]
) -> None:
    """A step whose files are not what was sealed does not pass; restored, it does."""
    place = place_of(case, target)
    whole = place.read_bytes()
    damage(place)
    answer = ask(case, caller, ("validate_stage", {"again": True}))
    assert answer["verdict"] in ("fail", "error")
    assert place.name in str(answer["worst"])
    refused = ask(case, caller, DECIDE)
    assert refused["refused"] == "not_allowed_now"
    place.write_bytes(whole)
    assert ask(case, caller, ("validate_stage", {"again": True}))["verdict"] == "pass"
    assert record_faults(case, {}) == []


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_changed_spec_is_refused(case: Case, caller: PreparedCaller, damage: Callable[[Path], None]) -> None:
    """The run follows the spec that was sealed or none."""
    place = place_of(case, "spec")
    whole = place.read_bytes()
    damage(place)
    answer = ask(case, caller, DECIDE)
    assert answer["refused"] == "sealed"
    assert "spec.yaml" in answer["message"]
    place.write_bytes(whole)
    assert ask(case, caller, DECIDE)["status"] == "planned"
    assert record_faults(case, {}) == []
