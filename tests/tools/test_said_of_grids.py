"""What planning and adjusting say of a grid that a checkpoint cannot, or does not, run as it stands."""

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("look_here")

Call = Callable[..., dict[str, Any]]


def test_a_list_that_the_checkpoint_cuts_is_said(call: Call, plan: Callable[..., str]) -> None:
    """At A the two smallest K are swept: whoever adds one is told which these are now."""
    run_id = plan("plan0", reduction={"methods": ["pca", "nmf"], "k": [5, 10], "seeds": [1]})
    adjust = {"decision": "adjust", "rationale": "one between", "adjustments": {"k": [5, 8, 10]}}
    reply = call("decide", run_id=run_id, **adjust)
    assert "checkpoint A sweeps the smallest of the new K: pca 5, 8; nmf 5, 8" in reply["summary"]


def test_a_k_that_a_checkpoint_cannot_have_is_a_warning_of_the_plan(
    call: Call, declare: Callable[..., dict[str, Any]]
) -> None:
    """A has 120 cells of this cohort, and K=150 is more than that."""
    spec = declare("plan0", reduction={"methods": ["pca"], "k": [5, 150], "seeds": [1]})
    warnings = call("plan_run", spec=spec)["warnings"]
    assert any("K=150" in item and "does not exist" in item and "at checkpoint A" in item for item in warnings)
