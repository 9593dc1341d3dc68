"""A worker imports what its step needs, and no more: seconds of start-up that every step and retry would pay."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stagewright.state.attempts import RESULT, open_attempt
from stagewright.state.run_directory import RunDirectory

NEVER = {"matplotlib", "seaborn", "IPython", "umap", "torch", "distributed", "dask_jobqueue", "cnmf", "glum", "mcp"}
HEAVY = {"scanpy", "sklearn", "skmisc", "scipy.stats"}
"""What some methods need: highly variable genes, grouped folds, tests. None of the steps here has one of them."""
IMPORTED = re.compile(r"^import time:.*\| +(\S+)$", re.MULTILINE)


def modules_of(run: Path, request: Any) -> set[str]:  # noqa: ANN401 - of the study of conftest.py
    """Do an attempt in a real worker, and return which modules it imported."""
    folder, _ = open_attempt(RunDirectory(run), request)
    command = [sys.executable, "-X", "importtime", "-P", "-m", "stagewright.stages", "work", str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert (folder / RESULT).is_file()
    return set(IMPORTED.findall(done.stderr))


@pytest.fixture
def unwanted() -> Callable[[set[str]], set[str]]:
    """Return a function that gives the modules that no worker here should have imported."""

    def found(modules: set[str]) -> set[str]:
        roots = {".".join(name.split(".")[:depth]) for name in modules for depth in (1, 2)}
        return roots & (NEVER | HEAVY)

    return found


def test_a_sweep_loads_no_toolkit(new_study: Callable[[str], Any], unwanted: Callable[[set[str]], set[str]]) -> None:
    """Plan 0 with pca and fa on filtered genes."""
    study = new_study("plan0")
    modules = modules_of(study.run, study.request("C/plan0"))
    assert "stagewright.stages.fits" in modules
    assert unwanted(modules) == set()


def test_a_grid_that_is_there_already_loads_no_toolkit(
    new_study: Callable[[str], Any], unwanted: Callable[[set[str]], set[str]]
) -> None:
    """Plan 1B whose units are all in the cache."""
    study = new_study("plan1b")
    for step in ("C/plan0", "C/plan1a", "C/plan1b"):
        study.execute(step)
    modules = modules_of(study.run, study.request("C/plan1b"))
    assert "stagewright.stages.plan1_grid" in modules
    assert unwanted(modules) == set()
