"""A proposal through real calls: shown in a short reply, applied by its number, and kept in the record."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from stagewright.state.ledger import Ledger
from stagewright.state.records import Proposal
from stagewright.tools import Workspace

pytestmark = pytest.mark.usefixtures("look_here")

Call = Callable[..., dict[str, Any]]
Plan = Callable[..., str]


def test_what_was_applied_is_in_the_record(call: Call, plan: Plan, workspace: Workspace) -> None:
    """The reply names what a person has to do first, `next` repeats it, and the decision's record has the proposal."""
    run_id = plan("crashes")
    reply = call("execute_stage", run_id=run_id)
    proposal = reply["blocked"]["proposals"][0]
    assert proposal["handler"] == "mend_command"
    assert proposal["first"] in reply["next"]["why"]
    assert len(json.dumps(reply).encode()) < 4096
    call("decide", run_id=run_id, decision="adjust", rationale="the script is mended", proposal=0)
    ledger = Ledger(workspace.run(run_id))
    (decision,) = ledger.detail("decision").entries()
    assert decision["rationale"] == "the script is mended"
    assert decision["proposal"] == Proposal.model_validate(proposal).model_dump(mode="json")
    assert f"by proposal 0 ({proposal['what']}): the script is mended" in str(decision["message"])


def test_a_k_above_the_rank_is_lowered_and_the_step_runs(call: Call, plan: Plan) -> None:
    """A real fit fails for its K; proposal 0 is the smallest change that can help, and with it the step is executed."""
    run_id = plan(
        "plan0",
        preprocess=[{"method": "hvg", "n_top_genes": 12}],
        reduction={"methods": ["pca", "nmf"], "k": {"pca": [4, 20], "nmf": [3]}, "seeds": [1]},
    )
    reply = call("execute_stage", run_id=run_id, wait_s=120)
    blocked = reply["blocked"]
    assert (blocked["kind"], blocked["unit"]) == ("spec", "pca/k_20/seed_1")
    first = blocked["proposals"][0]
    assert first["what"] == (
        "lower K=20 for pca to 6, half of the largest (12) that the cells and genes of checkpoint A carry"
    )
    assert reply["next"]["arguments"]["proposal"] == 0
    assert len(json.dumps(reply).encode()) < 4096
    call("decide", run_id=run_id, decision="adjust", rationale="as far as the data go", proposal=0)
    assert call("execute_stage", run_id=run_id, wait_s=120)["status"] == "executed"


def test_a_k_that_no_method_can_fit_is_lowered_in_all(call: Call, plan: Plan) -> None:
    """Lowered in one method only, the next would fail like the first: proposal 0 mends all of them."""
    run_id = plan(
        "plan0",
        preprocess=[{"method": "hvg", "n_top_genes": 12}],
        reduction={"methods": ["pca", "fa", "nmf"], "k": [4, 20], "seeds": [1]},
    )
    reply = call("execute_stage", run_id=run_id, wait_s=120)
    assert reply["blocked"]["kind"] == "spec"
    first = reply["blocked"]["proposals"][0]
    assert first["what"] == (
        "lower K=20 for pca, fa and nmf to 5, half of the largest (11) that the cells and genes of checkpoint A carry"
    )
    call("decide", run_id=run_id, decision="adjust", rationale="as far as the data go", proposal=0)
    assert call("execute_stage", run_id=run_id, wait_s=120)["status"] == "executed"
