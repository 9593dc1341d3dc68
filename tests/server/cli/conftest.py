"""A small study whose only stage is a registered command, so that a whole loop takes seconds."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from stagewright.server.cli import main
from stagewright.state.run_directory import RunDirectory, list_runs

Run: TypeAlias = Callable[..., "subprocess.CompletedProcess[str]"]

POLICY = """
[commands.noop]
argv = ["{python}", "-c", "open('result.txt', 'w').write('done')"]
why = "leaves one file"

[commands.scored]
argv = ["{python}", "-c", "import json; json.dump({'best.auc': 0.5}, open('metrics.json', 'w'))"]

[commands.measured]
argv = ["{python}", "-c", "import json; json.dump({'recall': 0.25}, open('metrics.json', 'w'))"]

[commands.broken]
argv = ["{python}", "-c", "raise SystemExit(3)"]

[commands.slow]
argv = ["{python}", "-c", "import time; time.sleep(60); open('result.txt', 'w').write('done')"]
"""

SPEC = """
objective: "Does the loop run?"
data:
  path: cohort.h5ad
  patient: patient
  label: {column: CN.label, positive: cancer, negative: normal}
stages: [noop]
"""


def run_cli(*words: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    """Run the command line as a process."""
    return subprocess.run(
        [sys.executable, "-m", "stagewright.server", *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a small cohort."""
    from stagewright.stages.cohort.generate import generate_cohort  # noqa: PLC0415 - most tests need no such library

    path = tmp_path_factory.mktemp("cohort") / "cohort.h5ad"
    generate_cohort(path, n_patients=8, cells_per_patient=60, n_genes=300)
    return path


@pytest.fixture
def root(tmp_path: Path, cohort: Path) -> Path:
    """Make a root with a policy, a cohort and a goal spec."""
    return fill_root(tmp_path, cohort)


def fill_root(folder: Path, cohort: Path) -> Path:
    """Put policy, cohort and goal spec into a folder."""
    (folder / "stagewright.toml").write_text(POLICY)
    (folder / "spec.yaml").write_text(SPEC)
    (folder / "cohort.h5ad").symlink_to(cohort)
    return folder


@pytest.fixture(scope="session")
def finished_root(tmp_path_factory: pytest.TempPathFactory, cohort: Path) -> Path:
    """Run the study from A to C in a root that no test changes."""
    folder = fill_root(tmp_path_factory.mktemp("finished"), cohort)
    assert main(["run", str(folder / "spec.yaml"), "--root", str(folder)]) == 0
    return folder


@pytest.fixture
def finished(tmp_path: Path, finished_root: Path) -> RunDirectory:
    """Copy the finished run, to be spoilt."""
    (run,) = list_runs(finished_root)
    place = tmp_path / "experiments" / run.run_id
    shutil.copytree(run.path, place)
    return RunDirectory(place)
