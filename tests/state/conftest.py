"""Events as the tools and the supervisor commit them, for runs that no process has to bring about."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stagewright.state.clock import utc_now
from stagewright.state.events import Event, parse_event
from stagewright.state.ledger import Ledger
from stagewright.state.run_directory import LOG_NAMES, RunDirectory

DIGEST = "0" * 64
RUN_ID = "20261122_134156_study_0123abcd"

MADE: dict[str, dict[str, Any]] = {
    "run_planned": {
        "run_id": RUN_ID,
        "objective": "x",
        "steps": ["A/one", "A/two", "B/one", "B/two"],
        "spec_sha256": DIGEST,
        "spec_digest": DIGEST,
        "data": {"path": "a.h5ad", "bytes": 1, "sha256": DIGEST},
        "limits": {"runtime_s": 100.0, "memory_bytes": 1000, "retries": 1},
    },
    "attempt_started": {"directory": "d", "command": ["c"], "request_sha256": DIGEST},
    "attempt_finished": {"elapsed_s": 1.0, "peak_rss_bytes": 10},
    "attempt_lost": {"elapsed_s": 2.0},
    "step_blocked": {"blocked": {"error": "the budget is used up"}},
    "step_validated": {"recommended": "continue", "recommended_why": "so", "elapsed_s": 0.1},
    "decided": {"rationale": "so", "call_digest": DIGEST, "before_first_look": True},
    "approved": {"reason": "so"},
    "torn_tail_moved": {"bytes": 3},
}
SEAL = {"outcome": "attempts/0001/outcome.json", "outcome_sha256": DIGEST, "count": 1, "bytes": 5}
TALLIES = {
    "pass": {"passed": 2, "warned": 0, "failed": 0, "errors": 0},
    "warn": {"passed": 1, "warned": 1, "failed": 0, "errors": 0},
    "fail": {"passed": 1, "warned": 0, "failed": 1, "errors": 0},
    "error": {"passed": 1, "warned": 0, "failed": 0, "errors": 1},
}


def made(kind: str, **fields: object) -> Event:
    """Return an event with what a test does not care about filled in."""
    extra: dict[str, object] = {}
    if fields.get("outcome") == "executed":
        extra["artifacts"] = SEAL
    if fields.get("outcome") == "failed" and not fields.get("will_retry"):
        extra["blocked"] = {"error": "it failed"}
    if "verdict" in fields:
        extra["gates"] = TALLIES[str(fields["verdict"])]
    if kind == "decided":
        extra["decision"] = "continue"
    entry: dict[str, Any] = {"event": kind, "message": kind, "step": "A/one"} | MADE[kind] | extra | fields
    return parse_event(entry)


@pytest.fixture
def event() -> Callable[..., Event]:
    """Return the function that makes events."""
    return made


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """Make a run directory with a first entry."""
    directory = RunDirectory(tmp_path / RUN_ID)
    (directory.path / "logs").mkdir(parents=True)
    (directory.path / "attempts").mkdir()
    for name in LOG_NAMES:
        directory.log(name).touch()
    Ledger(directory).first(made("run_planned"), utc_now())
    return directory
