"""Forecasts in the loop: made after each checkpoint, recorded, compared with what was, and what they refuse."""

from collections.abc import Callable
from typing import Any

import pytest

from stagewright.state.events import Decided, StepValidated
from stagewright.state.forecast import FittingChange, Forecast
from stagewright.state.ledger import Ledger
from stagewright.state.refusals import Refusal
from stagewright.state.run_directory import EXPERIMENTS
from stagewright.state.transitions import ImpossibleTransition
from stagewright.tools import Workspace
from stagewright.tools.cost_history import HISTORY, remembered_costs

Call = Callable[..., dict[str, Any]]

pytestmark = pytest.mark.usefixtures("look_here")


def test_a_loop_with_forecasts(call: Call, declare: Callable[..., dict[str, Any]], workspace: Workspace) -> None:
    """The first study on a machine has none; then each checkpoint has one, and what became of it stands beside it."""
    first = call("plan_run", spec=declare("ok"))
    assert first["forecast"].startswith("none: nothing was measured on this machine")
    run_id = first["run_id"]

    def step() -> dict[str, Any]:
        call("execute_stage", run_id=run_id)
        reply = call("validate_stage", run_id=run_id)
        call("decide", run_id=run_id, decision="continue", rationale="it passed")
        return reply

    assert step()["forecast"].startswith("checkpoint B")
    summary = call("read_state", run_id=run_id)["items"][0]
    assert summary["forecast"].startswith("checkpoint B")
    after_b = step()
    assert after_b["forecast_met"].startswith("checkpoint B took")
    assert after_b["forecast"].startswith("checkpoint C")
    after_c = step()
    assert "forecast" not in after_c
    state = Ledger(workspace.run(run_id)).fold()
    assert set(state.forecasts_met) == {"B", "C"}
    met = state.forecasts_met["C"]
    assert met.actual_runtime_s == pytest.approx(state.runtime_by_checkpoint["C"], abs=0.01)
    assert met.runtime_ratio == pytest.approx(met.actual_runtime_s / met.runtime_s, rel=0.01)
    assert sum(state.runtime_by_checkpoint.values()) == pytest.approx(state.runtime_used_s)

    assert [item.step for item in remembered_costs(workspace.root)] == ["A/ok", "B/ok", "C/ok"]
    history = workspace.root / EXPERIMENTS / HISTORY
    with history.open("a") as file:
        file.write("cut sho")
    second = call("plan_run", spec=declare("ok", objective="Once more"))
    assert "from 3 steps of earlier runs on this machine" in second["forecast"]
    assert second["forecast"].startswith("A ")


def test_a_checkpoint_that_would_exceed_the_budget_is_not_opened(
    call: Call, declare: Callable[..., dict[str, Any]], workspace: Workspace
) -> None:
    """By its upper bound. The refusal has what would make it fit, and the ledger cannot say otherwise."""
    run_id = call("plan_run", spec=declare("ok", budget={"runtime": "10min"}))["run_id"]
    call("execute_stage", run_id=run_id)
    call("validate_stage", run_id=run_id)
    ledger = Ledger(workspace.run(run_id))
    with ledger.transition() as transition:
        state = transition.state
        assert state.gates is not None
        larger = FittingChange(what="runtime 20min", adjustments={"runtime": "20min"}, runtime_upper_s=900.0)
        forecast = Forecast(
            checkpoint="B",
            n_cells=100,
            runtime_s=300.0,
            runtime_lower_s=100.0,
            runtime_upper_s=900.0,
            fits=(larger,),
        )
        transition.commit(
            StepValidated(
                message="told by the test",
                step="A/ok",
                attempt=1,
                verdict="pass",
                gates=state.gates,
                recommended="adjust",
                recommended_why="it would not fit",
                elapsed_s=1.0,
                forecast=forecast,
            )
        )
    with pytest.raises(Refusal, match="exceeds the budget") as refused:
        call("decide", run_id=run_id, decision="continue", rationale="it will be fine")
    assert refused.value.code == "not_allowed_now"
    assert "runtime 20min ({'runtime': '20min'})" in refused.value.message
    assert refused.value.next_call is not None
    assert refused.value.next_call.arguments["adjustments"] == {"runtime": "20min"}
    forged = Decided(
        message="on", step="A/ok", decision="continue", rationale="on", call_digest="0" * 64, before_first_look=True
    )
    with ledger.transition() as transition, pytest.raises(ImpossibleTransition, match="exceeds the budget"):
        transition.commit(forged)
    call("decide", run_id=run_id, decision="adjust", rationale="as it says", adjustments={"runtime": "20min"})
    call("execute_stage", run_id=run_id)
    assert call("validate_stage", run_id=run_id)["recommended"] == "continue"
    assert call("decide", run_id=run_id, decision="continue", rationale="it fits now")["step"] == "B/ok"


def test_what_is_found_to_fit_is_within_the_caps(
    call: Call, declare: Callable[..., dict[str, Any]], workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A larger budget is proposed where the operator's caps leave room for it; the verdict recommends to adjust."""
    monkeypatch.setattr("stagewright.stages.forecast.cost_line.ONE", 1e6, raising=True)
    monkeypatch.setattr("stagewright.stages.forecast.checkpoint.REST_FACTOR", 1e3, raising=True)
    run_id = call("plan_run", spec=declare("ok", budget={"runtime": "1min"}))["run_id"]
    call("execute_stage", run_id=run_id)
    reply = call("validate_stage", run_id=run_id)
    assert reply["verdict"] == "pass"
    state = Ledger(workspace.run(run_id)).fold()
    assert state.forecast_ahead is not None
    assert state.forecast_ahead.runtime_upper_s > 60
    assert reply["recommended"] == "adjust"
    assert "exceeds the budget" in reply["recommended_why"]
    for fit in state.forecast_ahead.fits:
        assert set(fit.adjustments) == {"runtime"}
        assert fit.runtime_upper_s == state.forecast_ahead.runtime_upper_s
