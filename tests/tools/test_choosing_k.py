"""Another K than Plan 0's choice, through the tools and a real step."""

from collections.abc import Callable
from typing import Any

import pytest

from stagewright.state.refusals import Refusal
from stagewright.tools import Workspace

pytestmark = pytest.mark.usefixtures("look_here")


def test_another_k_of_the_shortlist_is_taken_and_no_other(
    call: Callable[..., dict[str, Any]],
    plan: Callable[..., str],
    refused: Callable[..., Refusal],
    workspace: Workspace,
) -> None:
    """The refusal names the shortlist; what is taken from it is the K of the steps that follow."""
    run_id = plan(
        "plan0",
        "plan1a",
        preprocess=[{"method": "all_filtered", "min_cells_fraction": 0.01}],
        reduction={"methods": ["pca"], "k": [3, 4], "seeds": [1], "held_out": False},
    )
    assert call("execute_stage", run_id=run_id, wait_s=120)["status"] == "executed"
    assert call("validate_stage", run_id=run_id)["verdict"] in ("pass", "warn")
    state = workspace.ledger(run_id).read()
    # Of counts without any structure each component explains as much as the last, so that both K are worth it.
    assert (state.k_by_method, {name: tuple(ks) for name, ks in state.k_shortlist.items()}) == (
        {"pca": 4},
        {"pca": (3, 4)},
    )
    why = {"run_id": run_id, "decision": "continue", "rationale": "fewer components are easier to read"}
    assert "Plan 0's shortlist is 3, 4" in refused("invalid_argument", "decide", k_by_method={"pca": 5}, **why).message
    call("decide", k_by_method={"pca": 3}, **why)
    assert workspace.ledger(run_id).read().k_by_method == {"pca": 3}
