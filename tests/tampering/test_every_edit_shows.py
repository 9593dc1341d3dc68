"""Whatever is changed in a run directory, `verify` says so; and it says nothing of one that nobody touched."""

import random
from collections import Counter
from pathlib import Path

import pytest
from record_edits import EDITS
from tampered_runs import STATUSES, Runs

from stagewright.state.run_directory import RunDirectory
from stagewright.tools.verify_root import verify_root_log
from stagewright.tools.verify_run import verify_run

QUICK, MANY, BLOCKS = 600, 24_000, 12
DECIDES_NOTHING = (".lock", "alive.lock", "supervisor.log")
"""Who held a lock last, and what a supervisor said of itself."""
AT_WORK = ("worker.log", "progress.json", "units.json")
"""What the worker of an open attempt writes to."""


def recorded_files(run: RunDirectory, status: str) -> list[Path]:
    """Return every file of a run that says something."""
    found = []
    for path in sorted(run.path.rglob("*")):
        inside = path.relative_to(run.path)
        if not path.is_file() or path.stat().st_size == 0 or path.name in DECIDES_NOTHING:
            continue
        if inside.parts[0] == "unit_cache" or "staging" in inside.parts:  # checked when used; work that is not done
            continue
        if status != "running" or path.name not in AT_WORK:
            found.append(path)
    return found


def unseen(runs: Runs, seed: int, count: int) -> list[str]:
    """Make random edits, one after the other, and return those that `verify` does not see."""
    rng = random.Random(seed)  # noqa: S311 - repeatable on purpose
    log = runs.root / "experiments" / "tool_calls.log"
    of_root = [("root", None, log), ("root", None, log.with_suffix(".head"))]
    files = [(status, run, path) for status, run in runs.by_status.items() for path in recorded_files(run, status)]
    missed, tried = [], Counter[str]()
    while tried.total() < count:
        status, run, path = rng.choice([*files, *of_root])
        edit, whole = rng.choice(EDITS), path.read_bytes()
        edited = edit(whole, rng)
        if edited == whole:
            continue
        path.write_bytes(edited)
        found = verify_root_log(runs.root) if run is None else verify_run(run)
        path.write_bytes(whole)
        tried[edit.__name__] += 1
        if not found:
            at = next((n for n, (a, b) in enumerate(zip(whole, edited, strict=False)) if a != b), len(edited))
            missed.append(f"{edit.__name__} at byte {at} of {path.relative_to(runs.root)} ({status})")
    assert set(tried) == {edit.__name__ for edit in EDITS}
    return missed


def said_of_all(runs: Runs) -> dict[str, list[str]]:
    """Return what `verify` says of each run, and of the root."""
    found = {status: [str(problem) for problem in verify_run(run)] for status, run in runs.by_status.items()}
    return found | {"root": [str(problem) for problem in verify_root_log(runs.root) or ()]}


def test_nothing_is_said_of_untouched_runs(runs: Runs) -> None:
    """In every status, as copies in another place."""
    assert said_of_all(runs) == {status: [] for status in (*STATUSES, "root")}


def test_edits_show(runs: Runs) -> None:
    """Some hundreds, of every kind; afterwards the runs are as they were."""
    assert unseen(runs, 0, QUICK) == []
    assert said_of_all(runs) == {status: [] for status in (*STATUSES, "root")}


@pytest.mark.slow
@pytest.mark.parted
@pytest.mark.parametrize("block", range(1, BLOCKS + 1))
def test_every_edit_shows(runs: Runs, block: int) -> None:
    """Many thousands, in blocks that run side by side."""
    assert unseen(runs, block, MANY // BLOCKS) == []
    assert said_of_all(runs) == {status: [] for status in (*STATUSES, "root")}
