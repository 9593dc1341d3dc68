"""Kill a process at every single write of a call, then make the call again: nothing is lost, nothing happens twice.

The points are found by recording each call once; nobody lists them. Each one gets a case of its own, before the write
and in the middle of it: a copy of the run as it was, the call in real processes, the kill, the recovery by the same
call, and then the whole record is looked at.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fault_bench.caller import PreparedCaller
from fault_bench.case import Case, Point
from fault_bench.situations import SITUATIONS, Situation, effect_faults, lead_to, make_call, recover, settle
from fault_bench.whole_record import event_counts, record_faults

pytestmark = [pytest.mark.faults, pytest.mark.timeout(480)]

CHUNKS = {"plan": 2, "execute": 5, "execute-retried": 3, "stop-running": 3}
PARTS = [
    pytest.param(situation, part, CHUNKS.get(situation.name, 1), id=f"{situation.name}-{part}")
    for situation in SITUATIONS
    for part in range(CHUNKS.get(situation.name, 1))
]
MAY_NOT_COME = re.compile(r"progress\.json")
"""What is written as often as time allows may be written less often the next time."""


class Matrix:
    """Leads to situations and finds the points of their calls, each once."""

    def __init__(
        self, folder: Path, empty_root: Path, caller: PreparedCaller, spec_of: Callable[..., dict[str, Any]]
    ) -> None:
        self._folder = folder
        self._empty_root = empty_root
        self._caller = caller
        self._spec_of = spec_of
        self._templates: dict[str, tuple[Path, Counter[str]]] = {}
        self._points: dict[str, list[Point]] = {}
        self._cases = 0

    def points(self, situation: Situation) -> list[Point]:
        """Return the points of a situation's call, by recording it once."""
        if situation.name not in self._points:
            case = self.case(situation)
            make_call(situation, case, self._caller, self.spec(situation), case.plan_record())
            assert case.processes_left() == []
            self._points[situation.name] = list(_points(case.recorded))
            case.remove()
        known = {point for other in SITUATIONS if other.name == situation.beyond for point in self.points(other)}
        return [point for point in self._points[situation.name] if point not in known]

    def spec(self, situation: Situation) -> dict[str, Any]:
        """Return the spec of a situation's study."""
        return self._spec_of(*situation.stages, approvals=[*situation.approvals])

    def faults(self, situation: Situation, point: Point) -> tuple[bool, list[str]]:
        """Kill whoever comes to a point, recover, and return whether it fired and what does not hold."""
        case = self.case(situation)
        spec = self.spec(situation)
        make_call(situation, case, self._caller, spec, case.plan_kills([point]))
        case.await_kill()
        fired = case.marker().exists()
        acknowledged = case.acknowledged()
        found = recover(situation, case, self._caller, spec)
        if not found:
            found = effect_faults(situation, case, self._templates[situation.name][1])
            settle(case, self._caller)
            found += record_faults(case, acknowledged)
        case.remove()
        return fired, found

    def case(self, situation: Situation) -> Case:
        """Return a new copy of the run in a situation."""
        if situation.name not in self._templates:
            first = Case(self._folder / f"template-{situation.name}", self._empty_root)
            lead_to(situation, first, self._caller, self.spec(situation))
            counts = event_counts(first.run) if first.runs else Counter[str]()
            self._templates[situation.name] = first.root, counts
        self._cases += 1
        return Case(self._folder / f"{situation.name}-{self._cases}", self._templates[situation.name][0])


@pytest.fixture(scope="session")
def matrix(
    tmp_path_factory: pytest.TempPathFactory,
    empty_root: Path,
    caller: PreparedCaller,
    spec_of: Callable[..., dict[str, Any]],
) -> Matrix:
    """Return the situations' templates and points."""
    return Matrix(tmp_path_factory.mktemp("matrix"), empty_root, caller, spec_of)


@pytest.mark.parted
@pytest.mark.parametrize(("situation", "part", "parts"), PARTS)
def test_a_kill_at_any_write_loses_nothing(
    matrix: Matrix, record_property: Callable[[str, object], None], situation: Situation, part: int, parts: int
) -> None:
    """After the same call is made again: chains, fold, snapshot and files agree, and the call had its effect once."""
    fired, missed, broken = 0, [], []
    for point in matrix.points(situation)[part::parts]:
        came, faults = matrix.faults(situation, point)
        fired += came
        if not came and not MAY_NOT_COME.search(point.name):
            missed.append(str(point))
        broken += [f"{point}: {fault}" for fault in faults]
    record_property("kill_points_fired", fired)
    assert not broken, "\n".join(broken)
    assert len(missed) <= 0.05 * (fired + len(missed)), missed


def _points(recorded: Path) -> Iterator[Point]:
    """Yield the points of a recording: before each write, in the middle of it, and after the last of each process.

    Between one write of a process and its next one nothing reaches the disk: after the one is before the other.
    """
    lines = [line.partition(" ")[::2] for line in recorded.read_text().splitlines()]
    last = {name.partition(":")[0]: name for name, _ in lines}
    for name, torn in lines:
        yield Point(name, "before")
        if torn:
            yield Point(name, "torn")
        if ":spawn:" in name or name in last.values():
            yield Point(name, "after")
