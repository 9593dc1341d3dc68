"""A proposal leaves out what failed, and nothing that the present checkpoint only happens not to try."""

from collections.abc import Callable
from typing import Any

import pytest

from stagewright.stages.failed_attempt import blocked_by
from stagewright.stages.failure import Failure
from stagewright.stages.worker_process import WorkerEnding
from stagewright.state.attempts import open_attempt
from stagewright.state.ledger import Ledger
from stagewright.state.records import Limits, Proposal
from stagewright.state.run_directory import RunDirectory
from stagewright.tools import Workspace
from stagewright.tools.step_requests import request_for

pytestmark = pytest.mark.usefixtures("look_here")

GRID = {
    "preprocess": [{"method": "hvg", "n_top_genes": genes} for genes in (10, 20, 30)],
    "reduction": {"methods": ["pca", "fa"], "k": [5, 10, 20], "seeds": [1, 2, 3]},
}
FAILED = Failure(error="it did not converge", kind="numerical", unit="fa/k_10", method="fa", k=10, preprocess="hvg_20")


def proposed(workspace: Workspace, run: RunDirectory) -> list[Proposal]:
    """Return what a supervisor proposes when a unit of the run's present step failed."""
    state = Ledger(run).fold()
    request = request_for(workspace, run, state, Limits(runtime_s=9, memory_bytes=2**40, retries=0))
    open_attempt(run, request)
    return [*blocked_by(FAILED, run, request, WorkerEnding(exit_status=1), state).proposals]


def test_what_was_not_tried_yet_stays(
    call: Callable[..., dict[str, Any]], workspace: Workspace, plan: Callable[..., str]
) -> None:
    """At A two K of three are swept: without K=10 for fa, K=20 is still to come, for fa and for pca."""
    run = workspace.run(plan("plan0", **GRID))
    first, second, third = proposed(workspace, run)
    assert first.adjustments == {"k": {"pca": [5, 10, 20], "fa": [5, 20]}}
    assert second.adjustments == {"methods": ["pca"]}
    assert [entry["n_top_genes"] for entry in third.model_dump()["adjustments"]["preprocess"]] == [10, 30]
    # And what was adjusted before stays adjusted.
    call("decide", run_id=run.run_id, decision="adjust", rationale="fewer", adjustments={"k": [5, 10, 40]})
    assert proposed(workspace, run)[0].adjustments == {"k": {"pca": [5, 10, 40], "fa": [5, 40]}}


def test_an_edited_spec_changes_no_proposal(workspace: Workspace, plan: Callable[..., str]) -> None:
    """The spec that counts is the one that the ledger sealed."""
    run = workspace.run(plan("plan0", **GRID))
    before = proposed(workspace, run)
    run.spec.write_text("not: [a spec")
    assert proposed(workspace, run) == before
