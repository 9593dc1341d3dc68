"""Kill a random process of the tree at a random moment; the run is taken up and ends as if nothing had happened.

A study ends here at its first checkpoint, before which a person has to approve the second one. Most runs have a stage
that is a command and takes a moment; twenty have the built-in Plans 0, 1A and 1B on a tiny cohort.
"""

import random
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import yaml
from fault_bench.caller import Call, PreparedCaller
from fault_bench.case import Case
from fault_bench.commands import policy_text
from fault_bench.driving import finish, serve_to_the_end, start_driver
from fault_bench.results import Results, differences, results_of
from fault_bench.whole_record import record_faults

from stagewright.state.ledger import Ledger

pytestmark = [pytest.mark.faults, pytest.mark.timeout(280)]

KNOWN_GATES = True
"""A gates child that somebody kills leaves the verdict `error`, which taking the run up does not judge again: until it
does, the test asks for it."""

ROLES = {"serve": "server", "run": "driver", "supervise": "supervisor", "work": "worker", "stagewright.gates": "gates"}
COMMAND_RUNS = [pytest.param("command", part, 5, id=f"command-{part}") for part in range(10)]
SERVER_RUNS = [pytest.param("served", part, 5, id=f"served-{part}") for part in range(6)]
PLAN_RUNS = [
    pytest.param(kind, part, 2, id=f"{kind}-{part}")
    for kind, parts in (("plan0", 2), ("plan1a", 4), ("plan1b", 4))
    for part in range(parts)
]
STEP: tuple[Call, ...] = (
    ("execute_stage", {"wait_s": 200}),
    ("validate_stage", {}),
    ("decide", {"decision": "continue", "rationale": "the gates passed"}),
)


@dataclass
class Study:
    """A study: a root in which it may start, how long it takes from there, and what comes of it undisturbed."""

    root: Path
    length_s: float
    expected: Results


@pytest.fixture(scope="session")
def studies(tmp_path_factory: pytest.TempPathFactory, small_cohort: Path, tiny_cohort: Path) -> Callable[[str], Study]:
    """Return a function that gives a study by its name; each is run once undisturbed."""
    made: dict[str, Study] = {}
    folder = tmp_path_factory.mktemp("studies")

    def study(name: str) -> Study:
        if name not in made:
            plans = name.startswith("plan")
            made.update(_make_plans(folder, tiny_cohort) if plans else _make_commands(folder, small_cohort))
        return made[name]

    return study


@pytest.mark.parametrize(("kind", "part", "runs"), [*COMMAND_RUNS, *SERVER_RUNS, *PLAN_RUNS])
def test_a_run_survives_a_random_kill(
    studies: Callable[[str], Study],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
    kind: str,
    part: int,
    runs: int,
) -> None:
    """Whichever process it was, `--resume-from-state` ends the run with the same results, and the record holds."""
    rng = random.Random(f"{kind} {part}")  # noqa: S311 - repeatable on purpose
    study = studies(kind)
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
        driver.wait(240)
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
    if KNOWN_GATES and case.runs and Ledger(case.run).fold().verdict == "error":
        caller = PreparedCaller(None)
        caller.make(case, [("validate_stage", {"run_id": case.run.run_id, "again": True})])
        caller.close()
        done = finish(case)
    if done.returncode != 4:  # it waits for a person, as an undisturbed run does
        return [f"taken up, it ended with {done.returncode}: {done.stdout[-600:]}{done.stderr[-600:]}"]
    if len(case.runs) != 1:
        return [f"there are {len(case.runs)} runs"]
    return [*differences(results_of(case.run), study.expected), *record_faults(case, acknowledged)]


def _make_commands(folder: Path, cohort: Path) -> dict[str, Study]:
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
    root = _root(folder / "command", cohort, spec)
    whole = Case(folder / "command-whole", root)
    length_s = _undisturbed(whole)
    served = Case(folder / "served", root)
    caller = PreparedCaller(None)
    caller.make(served, [("plan_run", {"spec": "spec.yaml"})])
    again = Case(folder / "served-whole", served.root)
    started = time.monotonic()
    serve_to_the_end(again)
    served_s = time.monotonic() - started
    caller.close()
    expected = results_of(whole.run)
    return {"command": Study(root, length_s, expected), "served": Study(served.root, served_s, expected)}


def _make_plans(folder: Path, cohort: Path) -> dict[str, Study]:
    spec = {
        "objective": "Do the same numbers come out?",
        "data": {
            "path": "cohort.h5ad",
            "patient": "patient",
            "label": {"column": "CN.label", "positive": "cancer", "negative": "normal"},
        },
        "stages": ["plan0", "plan1a", "plan1b"],
        "approvals": ["B"],
        "preprocess": [{"method": "hvg", "n_top_genes": 60}],
        "reduction": {"methods": ["pca", "fa"], "k": [2, 3], "seeds": [1, 2]},
        "classifier": {"alphas": {"logspace": [-3, 1, 4]}, "cv": {"folds": 2, "repeats": 1}},
        "budget": {"retries": 5},
    }
    whole = Case(folder / "plans-whole", _root(folder / "plans", cohort, spec))
    caller = PreparedCaller(None)
    roots: dict[str, tuple[Path, float]] = {}
    caller.make(whole, [("plan_run", {"spec": "spec.yaml"})])
    for stage in ("plan0", "plan1a", "plan1b"):
        before = Case(folder / f"before-{stage}", whole.root)
        roots[stage] = before.root, time.monotonic()
        for tool, arguments in STEP:
            answers = caller.make(whole, [(tool, {"run_id": whole.run.run_id, **arguments})])
            assert answers is not None
            assert "refused" not in answers[0], answers[0]
    caller.close()
    ended, expected = time.monotonic(), results_of(whole.run)
    return {stage: Study(root, ended - started, expected) for stage, (root, started) in roots.items()}


def _root(root: Path, cohort: Path, spec: dict[str, object]) -> Path:
    root.mkdir()
    shutil.copy(cohort, root / "cohort.h5ad")
    (root / "stagewright.toml").write_text(policy_text(str(root)))
    (root / "spec.yaml").write_text(yaml.safe_dump(spec, sort_keys=False))
    return root


def _undisturbed(case: Case) -> float:
    started = time.monotonic()
    done = finish(case)
    assert done.returncode == 4, done.stdout + done.stderr
    return time.monotonic() - started
