"""Make runs in several statuses by real calls, as copies that nothing works in."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import psutil
import pytest
from pydantic import BaseModel

from stagewright.state.ledger import Ledger
from stagewright.state.policy import parse_policy
from stagewright.state.refusals import Refusal
from stagewright.state.run_directory import RunDirectory, list_runs
from stagewright.state.survey import SurveyRequest
from stagewright.tools import Caller, Workspace, call_tool, child_processes, complete
from stagewright.tools.approve import approve, report_to_approve
from stagewright.tools.children import ask_child

__all__ = ["STATUSES", "Runs", "make_runs"]

WELL = (
    "import json; json.dump([1, 2, 3], open('result.json', 'w')); "
    "json.dump({'z.best.auc': 0.9, 'best.auc': 0.9, 'cells': 2.0, 'a': 1e-9}, open('metrics.json', 'w'))"
)
COMMANDS = {
    "ok": f"print('at work'); {WELL}",
    "crashes": "import sys; print('about to fail'); sys.exit('there is no such gene')",
    "waits": "import time; print('waiting', flush=True); time.sleep(600)",
}
STATUSES = ("planned", "running", "blocked", "completed", "approved", "stopped")
OBJECTIVES = {status: f"Does an edit of a run that is {status} show?" for status in STATUSES}
RUN_STATUS = {objective: status for status, objective in OBJECTIVES.items()}


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs by the status that they are in, and the root that they lie in."""

    root: Path
    by_status: dict[str, RunDirectory]


def make_runs(root: Path, copies: Path, cohort: Path) -> Runs:
    """Make a run in each status under a root, and copy them; then end what works in the running one."""
    shutil.copy(cohort, root / "cohort.h5ad")
    policy = "\n".join(
        f"[commands.{name}]\nargv = {json.dumps(['{python}', '-I', '-S', '-c', code])}\n"
        for name, code in COMMANDS.items()
    )
    workspace = Workspace(root=root, policy=parse_policy(policy, root), actor="person:test", trusted=True)
    with mock.patch.object(child_processes, "ask_child", _looked_at_here):
        for status in STATUSES:
            _made(workspace, status)
    for _ in range(3):
        complete(call_tool(workspace, "read_state", {}, Caller(client="tests")))
    shutil.copytree(root / "experiments", copies / "experiments")
    shutil.copy(cohort, copies / "cohort.h5ad")
    for process in psutil.process_iter(["cmdline"]):
        if any(str(root) in word for word in process.info["cmdline"] or ()):
            process.kill()
    return Runs(copies, {RUN_STATUS[Ledger(run).read().objective]: run for run in list_runs(copies)})


def _looked_at_here(module: str, child: str | None, question: BaseModel, *others: Any) -> Iterator[Any]:  # noqa: ANN401
    """Look into the data file without the second that planning's child takes."""
    from stagewright.stages.survey import survey  # noqa: PLC0415 - loads pandas

    if isinstance(question, SurveyRequest):
        yield survey(question)
    else:
        yield from ask_child(module, child, question, *others)


def _made(workspace: Workspace, status: str) -> None:
    def call(tool: str, **arguments: object) -> dict[str, object]:
        reply = complete(call_tool(workspace, tool, arguments, Caller(client="tests")))
        return reply.model_dump(mode="json", exclude_none=True)

    stage = {"running": "waits", "blocked": "crashes"}.get(status, "ok")
    data = {
        "path": "cohort.h5ad",
        "patient": "patient",
        "label": {"column": "label", "positive": "malignant", "negative": "normal"},
    }
    spec = {"objective": OBJECTIVES[status], "data": data, "stages": [stage]}
    run_id = str(call("plan_run", spec=spec | ({"approvals": ["B"]} if status == "approved" else {}))["run_id"])
    _bring(call, workspace, run_id, status)


def _bring(call: Callable[..., dict[str, object]], workspace: Workspace, run_id: str, status: str) -> None:
    with pytest.raises(Refusal):
        call("validate_stage", run_id=run_id)  # recorded, too
    if status == "planned":
        return
    if status == "running":
        call("execute_stage", run_id=run_id, wait_s=0)
        log = workspace.run(run_id).attempt(1, "A/waits") / "worker.log"
        deadline = time.monotonic() + 60
        while not (log.is_file() and log.read_bytes()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return
    call("execute_stage", run_id=run_id)
    if status == "blocked":
        return
    call("validate_stage", run_id=run_id)
    if status == "completed":  # the first results are replaced, and what replaces them goes to the end
        call("decide", run_id=run_id, decision="adjust", rationale="once more", adjustments={"retries": 1})
        for checkpoint in "ABC":
            call("execute_stage", run_id=run_id)
            call("validate_stage", run_id=run_id)
            call("decide", run_id=run_id, decision="continue", rationale=f"{checkpoint} passed")
    elif status == "approved":
        call("decide", run_id=run_id, decision="continue", rationale="passed")
        approve(workspace, run_id, "it is fine", report_to_approve(workspace, run_id).digest)
    else:
        call("decide", run_id=run_id, decision="stop", rationale="enough")
    call("read_state", run_id=run_id)
