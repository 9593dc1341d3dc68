"""Kill real workers at the writes of Plans 0, 1A and 1B, several in one attempt after another, and their supervisor.

Of the points that repeat for each artifact the first is taken, and of those that make something hold (a rename, a
write) the last too. Not those before a file is opened or synced: what a killed process leaves is what it leaves at the
point before (the crash matrix, which is quicker, has them). What workers do alike in every stage is tried in Plan 0; of
the others only the kinds of files that they alone write. Three workers die in one execution, each
at another point; each death is a transient failure and tried again. Then the supervisor dies while it publishes.
"""

import re
from collections.abc import Callable, Iterator
from itertools import zip_longest
from pathlib import Path

import pytest
from fault_bench.caller import Call, PreparedCaller
from fault_bench.case import Case, Point
from fault_bench.results import differences, results_of
from fault_bench.studies import Study
from fault_bench.whole_record import event_counts, record_faults

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

EXECUTE: Call = ("execute_stage", {"wait_s": 200})
DEATHS = 3
PARTS = 4
OWN_FILES = {"plan0": re.compile(""), "plan1a": re.compile(r"\*\.(csv|h5ad):"), "plan1b": re.compile(r"\*\.parquet:")}
CASES = [
    pytest.param("plan0", part, PARTS, marks=pytest.mark.xdist_group("Plan 0 loses workers")) for part in range(PARTS)
] + [
    pytest.param(stage, 0, 1, marks=pytest.mark.xdist_group("other plans lose workers"))
    for stage in ("plan1a", "plan1b")
]
HOLDING = re.compile(r":(rename|replace|write|pwrite):")
LEFT_OUT = re.compile(r"progress\.json|:(spawn|open|fsync):")


@pytest.mark.parametrize(("stage", "part", "parts"), CASES)
def test_a_plan_survives_the_death_of_its_processes(
    plan_studies: dict[str, Study],
    planner: PreparedCaller,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
    stage: str,
    part: int,
    parts: int,
) -> None:
    """One attempt in the end, with the results of an undisturbed one, and a record that holds together."""
    study = plan_studies[stage]
    recording = Case(tmp_path / "recording", study.root)
    call = (EXECUTE[0], {"run_id": recording.run.run_id, **EXECUTE[1]})
    planner.make(recording, [call], recording.plan_record())
    undisturbed = results_of(recording.run)
    fired, broken = 0, []
    for number, points in enumerate([*_groups(recording.recorded, OWN_FILES[stage])][part::parts]):
        case = Case(tmp_path / str(number), study.root)
        before = event_counts(case.run)
        planner.make(case, [call], case.plan_kills(points))
        fired += sum(case.marker(at).exists() for at in range(len(points)))
        acknowledged = case.acknowledged()
        answers = planner.make(case, [call])
        while answers is not None and answers[0].get("status") == "running":
            answers = planner.make(case, [call])
        executed = (event_counts(case.run) - before)["executed"]
        faults = [] if executed == 1 else [f"{executed} attempts were executed: {answers}"]
        if not faults:
            planner.make(case, [("decide", {"run_id": call[1]["run_id"], "decision": "stop", "rationale": "the end"})])
            faults = [*differences(results_of(case.run), undisturbed), *record_faults(case, acknowledged)]
        broken += [f"{', '.join(map(str, points))}: {fault}" for fault in faults]
        case.remove()
    recording.remove()
    record_property("kill_points_fired", fired)
    assert not broken, "\n".join(broken)
    assert fired


def _groups(recorded: Path, own: re.Pattern[str]) -> Iterator[list[Point]]:
    """Yield the points that are killed in one execution: three of workers, then one of the supervisor."""
    names = [line.partition(" ")[::2] for line in recorded.read_text().splitlines()]
    kinds: dict[str, list[tuple[str, str]]] = {}
    for name, torn in names:
        if own.search(name) and not LEFT_OUT.search(name):
            kinds.setdefault(name.rpartition(":")[0], []).append((name, torn))
    taken = [
        point
        for kind, points in kinds.items()
        for point in dict.fromkeys([points[0], points[-1]] if HOLDING.search(kind) else points[:1])
    ]
    points = [Point(name, "torn" if torn else "before") for name, torn in taken]
    workers = [point for point in points if point.name.startswith("worker:")]
    supervisors = [point for point in points if re.match(r"supervisor:.*:(results|attempt/staging)/", point.name)]
    in_threes = [workers[at : at + DEATHS] for at in range(0, len(workers), DEATHS)]
    for some, last in zip_longest(in_threes, supervisors[: len(in_threes)]):
        yield [*some, *([] if last is None else [last])]
