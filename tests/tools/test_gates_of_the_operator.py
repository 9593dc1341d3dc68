"""The operator's gates judge a run from its plan on: sealed, recorded, missed when they are taken away."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import yaml

from stagewright.state.ledger import Ledger
from stagewright.state.policy import parse_policy
from stagewright.state.refusals import Refusal
from stagewright.tools import Workspace

Call = Callable[..., dict[str, Any]]

GATES = """
[gates.answer]
argv = ["{python}", "-I", "-S", "-c", "import json; print(json.dumps({'measured': '[1]', 'subject': '{step}'}))"]
stages = ["ok"]
why = "results are what they were last year"
timeout = "20s"
"""


@pytest.mark.usefixtures("look_here")
def test_the_operators_gate_judges_until_it_is_taken_away(
    call: Call, declare: Callable[..., dict[str, Any]], workspace: Workspace, policy_text: str
) -> None:
    """It is in the manifest, in the view of the gates and in validation.log; without it the verdict is an error."""
    guarded = replace(workspace, policy=parse_policy(policy_text + GATES, workspace.root))
    run_id = call("plan_run", within=guarded, spec=declare("ok"))["run_id"]
    run = workspace.run(run_id)
    code = yaml.safe_load(run.manifest.read_text())["gates"]["answer"]
    assert len(code) == 64
    listed = call("read_state", within=guarded, run_id=run_id, view="gates", limit=50)["items"]
    assert listed[-1] == {"stage": "ok", "gate": "answer", "purpose": "results are what they were last year"}
    call("execute_stage", within=guarded, run_id=run_id)
    reply = call("validate_stage", within=guarded, run_id=run_id)
    assert reply["verdict"] == "pass"
    entries = [entry for entry in Ledger(run).detail("validation").entries() if entry.get("gate") == "answer"]
    assert [(entry["subject"], entry["code_sha256"]) for entry in entries] == [("A/ok", code)]

    reply = call("validate_stage", run_id=run_id, again=True)
    assert (reply["verdict"], reply["worst"][0]["gate"]) == ("error", "answer")
    assert "answer" in reply["would_pass"]
    with pytest.raises(Refusal, match="only pass or warn"):
        call("decide", run_id=run_id, decision="continue", rationale="it was green before")
    assert call("validate_stage", within=guarded, run_id=run_id, again=True)["verdict"] == "pass"


@pytest.mark.usefixtures("look_here")
def test_a_gate_without_a_name_of_its_own_stops_planning(
    call: Call, declare: Callable[..., dict[str, Any]], workspace: Workspace, policy_text: str
) -> None:
    """The operator is told before hours are spent; a policy with an unknown key is refused with its place."""
    taken = policy_text + '[gates.budget]\nargv = ["true"]\n'
    with pytest.raises(Refusal, match="has the name of a built-in one"):
        call(
            "plan_run",
            within=replace(workspace, policy=parse_policy(taken, workspace.root)),
            spec=declare("ok"),
        )
    with pytest.raises(Refusal, match=r"gates\.ours"):
        parse_policy(policy_text + f"[gates.ours]\nargv = {json.dumps([])}\n", workspace.root)
