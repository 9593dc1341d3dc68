"""What a run has used is summed from its ledger, is said before it is used up, and stays under the operator's caps."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stagewright.state.policy import parse_policy
from stagewright.tools import Workspace

pytestmark = pytest.mark.usefixtures("look_here")

Call = Callable[..., dict[str, Any]]
Plan = Callable[..., str]


def test_near_its_end_the_next_reply_says_what_is_left(call: Call, plan: Plan, workspace: Workspace) -> None:
    """In every reply that shows the budget, with what to do about it; before that there is no such note."""
    run_id = plan("ok", "second", budget={"runtime": "60s"})
    assert "note" not in call("execute_stage", run_id=run_id)["budget"]
    used = call("read_state", run_id=run_id)["budget"]["runtime_used_s"]
    assert used > 0
    run_id = plan("ok", "second", budget={"runtime": "60s", "memory": "1TiB"})
    call("execute_stage", run_id=run_id)
    used = call("read_state", run_id=run_id)["budget"]["runtime_used_s"]
    capped = Workspace(
        root=workspace.root, policy=parse_policy(f'[caps]\nruntime = "{used * 1.05:.3f}s"\n', workspace.root)
    )
    for tool in ("validate_stage", "read_state"):
        budget = call(tool, within=capped, run_id=run_id)["budget"]
        assert "of the run time is used" in budget["note"]
        assert "past it the step is blocked" in budget["note"]
        assert budget["runtime_left_s"] == pytest.approx(used * 0.05, abs=0.02)


def test_a_cap_that_was_lowered_holds_for_a_run_that_is_under_way(
    call: Call, plan: Plan, workspace: Workspace, policy_text: str
) -> None:
    """The spec allowed more when it was planned; past the cap the step is blocked, and no adjustment brings more."""
    run_id = plan("ok", "second")
    call("execute_stage", run_id=run_id)
    call("validate_stage", run_id=run_id)
    call("decide", run_id=run_id, decision="continue", rationale="passed")
    policy = parse_policy(policy_text + '[caps]\nruntime = "0.001s"\n', workspace.root)
    within = Workspace(root=workspace.root, policy=policy)
    reply = call("execute_stage", within=within, run_id=run_id)
    assert (reply["status"], reply["blocked"]["kind"], reply["attempt"]) == ("blocked", "runtime_budget", 1)
    assert not any("runtime" in item["adjustments"] for item in reply["blocked"]["proposals"])
    assert (workspace.root / "ran.txt").read_text().split() == ["A/ok"]


def test_a_supervisor_that_cannot_be_started_is_a_lost_attempt(
    call: Call, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No process to be had: the record says so at once, and the same call goes on when there is one again."""

    def none_left(*_: object) -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    run_id = plan("ok")
    with monkeypatch.context() as broken:
        broken.setattr(sys.modules["stagewright.tools.child_processes"], "start_supervisor", none_left)
        reply = call("execute_stage", run_id=run_id)
    assert (reply["status"], reply["attempt"]) == ("planned", 1)
    assert "its supervisor did not start: [Errno 11]" in reply["notes"][0]
    assert reply["next"]["tool"] == "execute_stage"
    reply = call("execute_stage", run_id=run_id)
    assert (reply["status"], reply["attempt"], reply["budget"]["failures"]) == ("executed", 2, 1)


def test_a_run_that_was_copied_to_another_place_goes_on_there(
    call: Call, plan: Plan, workspace: Workspace, tmp_path: Path, policy_text: str
) -> None:
    """Its data are found by their content under the new root; without them the call is refused and starts nothing."""
    run_id = plan("ok", "second")
    call("execute_stage", run_id=run_id)
    call("validate_stage", run_id=run_id)
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(workspace.run(run_id).path, elsewhere / "experiments" / run_id)
    shutil.move(workspace.root / "cohort.h5ad", tmp_path / "cohort.kept")
    within = Workspace(root=elsewhere, policy=parse_policy(policy_text, elsewhere))
    assert call("read_state", within=within, run_id=run_id)["status"] == "validated"
    call("decide", within=within, run_id=run_id, decision="continue", rationale="passed")
    with pytest.raises(Exception, match="is not there, and none with its content lies at") as refused:
        call("execute_stage", within=within, run_id=run_id)
    assert refused.value.code == "invalid_data"  # type: ignore[attr-defined]  # a Refusal
    (elsewhere / "cohort.h5ad").write_bytes(bytes((tmp_path / "cohort.kept").stat().st_size))  # not its content
    with pytest.raises(Exception, match="none with its content"):
        call("execute_stage", within=within, run_id=run_id)
    shutil.copy(tmp_path / "cohort.kept", elsewhere / "cohort.h5ad")
    reply = call("execute_stage", within=within, run_id=run_id)
    assert (reply["status"], reply["step"], reply["attempt"]) == ("executed", "A/second", 2)
    assert call("validate_stage", within=within, run_id=run_id)["verdict"] == "pass"


def test_an_edited_spec_is_refused_with_the_difference(call: Call, plan: Plan, workspace: Workspace) -> None:
    """The ledger knows what was sealed, so the refusal says which places were changed; restored, the run goes on."""
    run_id = plan("ok")
    path = workspace.run(run_id).spec
    text = path.read_text()
    path.write_text(text.replace("positive: malignant", "positive: tumour"))
    with pytest.raises(Exception, match=r"data\.label\.positive: malignant -> tumour") as refused:
        call("execute_stage", run_id=run_id)
    assert refused.value.code == "sealed"  # type: ignore[attr-defined]  # a Refusal
    path.write_text(text)
    assert call("execute_stage", run_id=run_id)["status"] == "executed"
