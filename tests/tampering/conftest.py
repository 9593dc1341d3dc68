"""Runs that are tampered with: one in each status."""

from pathlib import Path

import pytest
from tampered_runs import Runs, make_runs

from stagewright.tools import verify_run as module


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory, small_cohort: Path) -> Runs:
    """Make the runs. Whoever edits one puts its bytes back."""
    root, copies = tmp_path_factory.mktemp("tampering").resolve(), tmp_path_factory.mktemp("copies").resolve()
    return make_runs(root, copies, small_cohort)


@pytest.fixture(autouse=True)
def _look_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look once: `verify` looks again at what may be at work, and nothing here is."""
    monkeypatch.setattr(module, "LOOKS", 1)
