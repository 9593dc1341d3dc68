"""Runs in every status, for calls that are refused there, and a check that a refusal changes nothing."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from stagewright.state.artifacts import OUTCOME, Outcome, seal
from stagewright.state.canonical import digest_file
from stagewright.state.events import AttemptFinished, AttemptStarted
from stagewright.state.ledger import Ledger
from stagewright.state.refusals import Refusal
from stagewright.tools import Workspace

Call = Callable[..., dict[str, Any]]

ZERO = "0" * 64


@pytest.fixture
def at(call: Call, plan: Callable[..., str], workspace: Workspace, planned_before: Path) -> Callable[[str], str]:
    """Return a function that brings a run to a status through real calls, and gives its id."""

    def copied(status: str) -> str:
        kept = planned_before / status
        if not kept.exists():
            run_id = brought(status)
            shutil.copytree(workspace.run(run_id).path, kept / run_id)
            return run_id
        run_id = next(kept.iterdir()).name
        shutil.copytree(kept / run_id, workspace.root / "experiments" / run_id)
        return run_id

    def brought(status: str) -> str:
        stage = "crashes" if status == "blocked" else "ok"
        run_id = plan(stage, approvals=["A"] if status == "awaiting_approval" else [])
        if status in ("planned", "awaiting_approval"):
            return run_id
        if status == "stopped":
            call("decide", run_id=run_id, decision="stop", rationale="enough")
            return run_id
        call("execute_stage", run_id=run_id)
        if status == "failed":
            (workspace.run(run_id).path / "A/analysis/ok/result.json").unlink()
        if status in ("validated", "failed"):
            call("validate_stage", run_id=run_id)
        return run_id

    return copied


@pytest.fixture
def refused(call: Call, workspace: Workspace) -> Callable[..., Refusal]:
    """Return a function that makes a call, asserts that it is refused and changed nothing, and gives the refusal."""

    def asserted(code: str, tool: str, *, within: Workspace = workspace, **arguments: object) -> Refusal:
        before = contents(workspace.root)
        with pytest.raises(Refusal) as caught:
            call(tool, within=within, **arguments)
        changed = {path for path, digest in contents(workspace.root).items() if before.pop(path, None) != digest}
        assert not before, "a refused call removed files"
        recorded = {"tool_calls.log", "tool_calls.head"}
        assert {Path(path).name for path in changed} == recorded, "a refused call is recorded, and no more"
        assert caught.value.code == code, str(caught.value)
        return caught.value

    return asserted


@pytest.fixture
def score(workspace: Workspace) -> Callable[..., None]:
    """Return a function that records an executed attempt at a run's step, as a supervisor does, with what it scored."""

    def scored(run_id: str, *names: str) -> None:
        run = workspace.run(run_id)
        with Ledger(run).transition() as transition:
            number, step = transition.state.attempt + 1, transition.state.step
            folder = run.attempt(number, step)
            folder.mkdir()
            trials = tuple(
                {"preprocess": tag, "method": method, "k": 20, "metric": "auc_median", "value": 0.7}
                for tag, method in (name.split("/") for name in names)
            )
            outcome = Outcome(step=step, attempt=number, artifacts=(), configurations=names, trials=trials)
            (folder / OUTCOME).write_text(outcome.model_dump_json())
            place = {"message": "told by the test", "step": step, "attempt": number}
            transition.commit(
                AttemptStarted.model_validate(place | {"directory": folder.name, "command": (), "request_sha256": ZERO})
            )
            sealed = seal(run.path, folder / OUTCOME, outcome)
            how = {"outcome": "executed", "elapsed_s": 1.0, "peak_rss_bytes": 1}
            transition.commit(
                AttemptFinished.model_validate(place | how | {"artifacts": sealed, "configurations": names})
            )

    return scored


def contents(root: Path) -> dict[str, str]:
    """Return the digest of every file under a root. The lock's content names its last holder and decides nothing."""
    return {str(path): digest_file(path) for path in root.rglob("*") if path.is_file() and path.name != ".lock"}


@pytest.fixture(autouse=True)
def _no_process_stays(tmp_path: Path) -> Iterator[None]:
    """End what a failed test left running, by the folder that it works in."""
    yield
    for process in psutil.process_iter(["cmdline"]):
        if any(str(tmp_path) in word for word in process.info["cmdline"] or ()):
            process.kill()
    shutil.rmtree(tmp_path / "root", ignore_errors=True)
