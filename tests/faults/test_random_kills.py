"""Kill a random process of the tree at a random moment; the run is taken up and ends as if nothing had happened.

A study ends here at its first checkpoint, before which a person has to approve the second one. Most runs have a stage
that is a command and takes a moment; ten have the built-in Plans 0, 1A and 1B on a tiny cohort.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from fault_bench.caller import PreparedCaller
from fault_bench.case import Case
from fault_bench.driving import finish, serve_to_the_end, start_driver
from fault_bench.results import differences, results_of
from fault_bench.studies import Study, root_with
from fault_bench.whole_record import record_faults

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

ROLES = {"serve": "server", "run": "driver", "supervise": "supervisor", "work": "worker", "stagewright.gates": "gates"}
COMMAND_RUNS = [pytest.param("command", part, 5, id=f"command-{part}") for part in range(8)]
SERVER_RUNS = [pytest.param("served", part, 5, id=f"served-{part}") for part in range(10)]
PLAN_RUNS = [
    pytest.param(kind, part, 2, id=f"{kind}-{part}", marks=pytest.mark.xdist_group("plans that are killed"))
    for kind, parts in (("plan0", 1), ("plan1a", 1), ("plan1b", 3))
    for part in range(parts)
]


@pytest.fixture(scope="session")
def command_studies(
    tmp_path_factory: pytest.TempPathFactory, small_cohort: Path, planner: PreparedCaller
) -> dict[str, Study]:
    """Return the study of a command, not planned yet and planned; it is run once undisturbed in both ways."""
    return _make_commands(tmp_path_factory.mktemp("studies"), small_cohort, planner)


@pytest.mark.parted
@pytest.mark.parametrize(("kind", "part", "runs"), [*COMMAND_RUNS, *SERVER_RUNS, *PLAN_RUNS])
def test_a_run_survives_a_random_kill(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
    kind: str,
    part: int,
    runs: int,
) -> None:
    """Whichever process it was, `--resume-from-state` ends the run with the same results, and the record holds."""
    rng = random.Random(f"{kind} {part}")  # noqa: S311 - repeatable on purpose
    kept = "plan_studies" if kind.startswith("plan") else "command_studies"  # only what is needed is made
    study: Study = request.getfixturevalue(kept)[kind]
    killed: Counter[str] = Counter()
    broken: list[str] = []
    for number in range(runs):
        case = Case(tmp_path / str(number), study.root)
        said = _disturbed(case, study, kind, rng)
        while said is None:  # the run was over, or between two processes
            case.remove()
            case = Case(tmp_path / str(number), study.root)
            said = _disturbed(case, study, kind, rng)
        killed[said.partition(" ")[0]] += 1
        broken += [f"{number}, {said}: {fault}" for fault in _finished_faults(case, study)]
        case.remove()
    record_property("random_kills", sum(killed.values()))
    assert not broken, "\n".join(broken)


def _disturbed(case: Case, study: Study, kind: str, rng: random.Random) -> str | None:
    """Run a case and kill one of its processes; return whom and when, or None when nobody was there to kill."""
    delay = rng.uniform(0.02, 0.95) * study.length_s
    said: list[str] = []
    if kind == "served":
        killer = threading.Thread(target=lambda: said.extend(_kill_one(case, delay, rng)))
        killer.start()
        serve_to_the_end(case)
        killer.join()
    else:
        driver = start_driver(case)
        said.extend(_kill_one(case, delay, rng))
        driver.wait(400)
    return said[0] if said else None


def _kill_one(case: Case, delay: float, rng: random.Random) -> list[str]:
    time.sleep(delay)
    there = [(role, process) for process in case.processes() if (role := _role(process)) is not None]
    if not there:
        return []
    role, process = rng.choice(sorted(there, key=lambda pair: pair[0]))
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return []
    return [f"{role} after {delay:.2f} s"]


def _role(process: psutil.Process) -> str | None:
    try:
        words = process.cmdline()
    except psutil.NoSuchProcess:
        return None
    return next((role for word, role in ROLES.items() if word in words[:6]), None)


def _finished_faults(case: Case, study: Study) -> list[str]:
    acknowledged = case.acknowledged()
    done = finish(case)
    if done.returncode != 4:  # it waits for a person, as an undisturbed run does
        return [f"taken up, it ended with {done.returncode}: {done.stdout[-600:]}{done.stderr[-600:]}"]
    if len(case.runs) != 1:
        return [f"there are {len(case.runs)} runs"]
    return [*differences(results_of(case.run), study.expected), *record_faults(case, acknowledged)]


def _make_commands(folder: Path, cohort: Path, caller: PreparedCaller) -> dict[str, Study]:
    spec = {
        "objective": "Does a moment pass?",
        "data": {
            "path": "cohort.h5ad",
            "patient": "patient",
            "label": {"column": "label", "positive": "malignant", "negative": "normal"},
        },
        "stages": ["steady"],
        "approvals": ["B"],
        "budget": {"retries": 5},
    }
    root = root_with(folder / "command", cohort, spec)
    whole = Case(folder / "command-whole", root)
    length_s = _undisturbed(whole)
    served = Case(folder / "served", root)
    caller.make(served, [("plan_run", {"spec": "spec.yaml"})])
    again = Case(folder / "served-whole", served.root)
    started = time.monotonic()
    serve_to_the_end(again)
    served_s = time.monotonic() - started
    expected = results_of(whole.run)
    return {"command": Study(root, length_s, expected), "served": Study(served.root, served_s, expected)}


def _undisturbed(case: Case) -> float:
    started = time.monotonic()
    done = finish(case)
    assert done.returncode == 4, done.stdout + done.stderr
    return time.monotonic() - started
