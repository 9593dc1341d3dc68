"""The loop through the tools: each step once, each decision once, whatever is asked twice."""

import json
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from stagewright.state.ledger import Ledger
from stagewright.tools import Workspace

pytestmark = pytest.mark.usefixtures("look_here")

Call = Callable[..., dict[str, Any]]
Plan = Callable[..., str]
GO_ON = {"decision": "continue", "rationale": "the gates passed"}


def test_a_whole_study(call: Call, plan: Plan, workspace: Workspace) -> None:
    """Two stages at three checkpoints, each executed, validated and decided on; the record tells all of it."""
    run_id = plan("ok", "second")
    done, decided = [], {}
    for _ in range(6):
        executed = call("execute_stage", run_id=run_id)
        assert (executed["status"], executed["next"]["tool"]) == ("executed", "validate_stage")
        validated = call("validate_stage", run_id=run_id)
        assert (validated["verdict"], validated["recommended"]) == ("pass", "continue")
        done.append(validated["step"])
        decided = call("decide", run_id=run_id, **GO_ON)
    assert done == ["A/ok", "A/second", "B/ok", "B/second", "C/ok", "C/second"]
    assert decided["status"] == "completed"
    assert decided["next"] == {
        "tool": "read_state",
        "arguments": {"run_id": run_id, "view": "metrics"},
        "why": "the run is completed; nothing is left to do but to read and report its results",
    }
    assert (workspace.root / "ran.txt").read_text().split() == done

    run = workspace.run(run_id)
    assert Ledger(run).fold() == Ledger(run).read()
    assert [
        problem for name in ("validation", "decision", "tool_calls") for problem in Ledger(run).detail(name).problems()
    ] == []
    kinds = [entry["event"] for entry in Ledger(run).log.verified()]
    assert kinds == ["run_planned"] + ["attempt_started", "attempt_finished", "step_validated", "decided"] * 6
    assert len(list(Ledger(run).detail("decision").verified())) == 6
    assert len(list(Ledger(run).detail("tool_calls").verified())) >= 18
    manifest = yaml.safe_load(run.manifest.read_text())
    assert manifest["run"]["status"] == "completed"
    assert manifest["run"]["finished_at_utc"]
    assert list(manifest["artifacts"]) == done
    document = json.loads(run.snapshot.read_text())
    assert (document["status"], document["checkpoint"], document["last_completed_step"]) == (
        "completed",
        "C",
        "C/second",
    )
    assert document["metrics"]["C/ok"] == {"ok.best.auc": 0.9}


def test_planning_twice_is_one_run_until_it_starts(call: Call, declare: Callable[..., dict[str, Any]]) -> None:
    """The same spec, in another order of keys or as text, is the same study; after its first attempt it is not."""
    spec = declare("ok")
    first = call("plan_run", spec=spec)
    other = call("plan_run", spec=dict(reversed(spec.items())))
    text = call("plan_run", spec=json.dumps(spec))
    assert first["run_id"] == other["run_id"] == text["run_id"]
    assert "already planned" in other["summary"]
    varied = call("plan_run", spec=spec, parent_run_id=first["run_id"])
    assert varied["run_id"] != first["run_id"]
    call("execute_stage", run_id=first["run_id"])
    again = call("plan_run", spec=spec)
    assert again["run_id"] == varied["run_id"], "the first is its parent by now, said or not"
    call("execute_stage", run_id=varied["run_id"])
    assert call("plan_run", spec=spec)["run_id"] not in (first["run_id"], varied["run_id"])


def test_a_dry_run_writes_nothing_but_its_record(
    call: Call, declare: Callable[..., dict[str, Any]], workspace: Workspace
) -> None:
    """The reply has the steps; the next call plans for good."""
    reply = call("plan_run", spec=declare("ok"), dry_run=True)
    assert "run_id" not in reply
    assert [step["step"] for step in reply["steps"]] == ["A/ok", "B/ok", "C/ok"]
    assert reply["next"]["tool"] == "plan_run"
    kept = {path.name for path in (workspace.root / "experiments").iterdir()}
    assert kept == {"tool_calls.log", "tool_calls.head"}


def test_a_spec_file_and_what_is_sealed_of_it(
    call: Call, declare: Callable[..., dict[str, Any]], workspace: Workspace
) -> None:
    """spec.yaml is the file as it was written, comments included; its data path is taken from its folder."""
    folder = workspace.root / "studies"
    folder.mkdir()
    spec = declare("ok")
    spec["data"]["path"] = "../cohort.h5ad"
    text = "# why we ask\r\n" + yaml.safe_dump(spec, allow_unicode=True)
    (folder / "study.yaml").write_text(text, newline="")
    reply = call("plan_run", spec="studies/study.yaml")
    run = workspace.run(reply["run_id"])
    assert run.spec.read_bytes() == text.encode()
    assert Ledger(run).read().data.path == str(workspace.root / "cohort.h5ad")
    assert call("execute_stage", run_id=reply["run_id"])["status"] == "executed"


def test_an_inline_spec_that_repeats_an_object_can_be_read_again(
    call: Call, declare: Callable[..., dict[str, Any]]
) -> None:
    """Written as YAML without aliases, which a spec may not have."""
    shared = [7, 8]
    spec = declare("ok", reduction={"k": {"pca": shared, "fa": shared, "nmf": shared}, "seeds": shared})
    run_id = call("plan_run", spec=spec)["run_id"]
    assert call("execute_stage", run_id=run_id)["status"] == "executed"


def test_validating_twice_answers_from_the_record(call: Call, at: Callable[[str], str], workspace: Workspace) -> None:
    """Unless it is asked for a new judgement."""
    run_id = at("validated")
    ledger = Ledger(workspace.run(run_id))
    head, findings = ledger.log.head(), ledger.detail("validation").head()
    again = call("validate_stage", run_id=run_id)
    assert "as recorded" in again["summary"]
    assert (ledger.log.head(), ledger.detail("validation").head()) == (head, findings)
    anew = call("validate_stage", run_id=run_id, again=True)
    assert anew["verdict"] == again["verdict"] == "pass"
    assert ledger.detail("validation").head().seq == 2 * findings.seq


def test_a_new_judgement_sees_what_was_changed_since(
    call: Call, at: Callable[[str], str], workspace: Workspace
) -> None:
    """An artifact that was edited after the verdict turns it; restored, it passes again."""
    run_id = at("validated")
    path = workspace.run(run_id).path / "A/analysis/ok/metrics.json"
    sealed = path.read_text()
    path.write_text('{"best.auc": 1.0}')
    worse = call("validate_stage", run_id=run_id, again=True)
    assert worse["verdict"] in ("fail", "error")
    assert "metrics.json" in str(worse["worst"])
    path.write_text(sealed)
    assert call("validate_stage", run_id=run_id, again=True)["verdict"] == "pass"


def test_the_same_decision_twice_is_recorded_once(call: Call, at: Callable[[str], str], workspace: Workspace) -> None:
    """A client that did not get the first reply may ask again; it gets where the run is now."""
    run_id = at("validated")
    first = call("decide", run_id=run_id, **GO_ON)
    again = call("decide", run_id=run_id, **GO_ON)
    assert (first["repeated"], again["repeated"]) == (False, True)
    assert (first["step"], again["step"]) == ("B/ok", "B/ok")
    assert len(list(Ledger(workspace.run(run_id)).detail("decision").entries())) == 1
    call("execute_stage", run_id=run_id)
    call("validate_stage", run_id=run_id)
    assert call("decide", run_id=run_id, **GO_ON)["step"] == "C/ok"


def test_stopping_twice_is_recorded_once(call: Call, plan: Plan) -> None:
    """As for any decision."""
    run_id = plan("ok")
    for repeated in (False, True):
        reply = call("decide", run_id=run_id, decision="stop", rationale="enough")
        assert (reply["status"], reply["repeated"]) == ("stopped", repeated)


def test_executing_twice_attaches(call: Call, plan: Plan, workspace: Workspace) -> None:
    """A call on a running step waits for the same attempt."""
    run_id = plan("waits")
    first = call("execute_stage", run_id=run_id, wait_s=0)
    assert (first["status"], first["attempt"]) == ("running", 1)
    again = call("execute_stage", run_id=run_id, wait_s=0.3)
    assert (again["status"], again["attempt"]) == ("running", 1)
    assert "attached" in again["notes"][0]
    assert again["elapsed_s"] >= 0.2
    (workspace.root / "go").touch()
    assert call("execute_stage", run_id=run_id)["status"] == "executed"
    assert (workspace.root / "ran.txt").read_text().split() == ["A/waits"]


def test_reading_a_running_step_shows_its_units(call: Call, plan: Plan, workspace: Workspace) -> None:
    """The unit at work and for how long; what is left is not guessed while no unit says how long one takes."""
    run_id = plan("waits")
    shown = call("execute_stage", run_id=run_id, wait_s=0)
    deadline = time.monotonic() + 30
    while shown.get("unit") is None and time.monotonic() < deadline:
        shown = call("execute_stage", run_id=run_id, wait_s=0.2)
    progress = call("read_state", run_id=run_id)["items"][0]["progress"]
    assert (progress["done"], progress["total"], progress["unit"]) == (0, 1, "waits")
    assert re.fullmatch(r"waits \(\d+s\)", progress["at_work"][0])
    assert progress["left_s"] is None
    assert "0 of 1 units done, at work: waits (" in shown["summary"]
    (workspace.root / "go").touch()
    assert call("execute_stage", run_id=run_id)["status"] == "executed"


def test_an_adjustment_opens_the_step_again_and_is_recorded(
    call: Call, at: Callable[[str], str], workspace: Workspace
) -> None:
    """With its diff, its label, and whether a pilot score had been looked at."""
    run_id = at("failed")
    reply = call("decide", run_id=run_id, decision="adjust", rationale="fewer seeds", adjustments={"seeds": [1]})
    assert (reply["status"], reply["step"], reply["changes"], reply["label"]) == (
        "planned",
        "A/ok",
        ["seeds (loosens)"],
        "loosens",
    )
    entry = list(Ledger(workspace.run(run_id)).detail("decision").verified())[-1]
    assert entry["changes"] == [{"field": "seeds", "before": [1, 2, 3], "after": [1], "label": "loosens"}]
    assert entry["before_first_look"] is True
    assert isinstance(entry["evidence"], dict)
    assert entry["evidence"]["verdict"] == "fail"
    executed = call("execute_stage", run_id=run_id)
    assert (executed["status"], executed["attempt"]) == ("executed", 2)
    assert call("validate_stage", run_id=run_id)["verdict"] == "pass"
    spec = call("read_state", run_id=run_id, view="spec")["items"]
    assert spec[1] == {"adjustments": {"seeds": [1]}}
    assert (workspace.run(run_id).path / "attempts/0002_A_ok/superseded/A/analysis/ok/metrics.json").is_file()


def test_a_failure_criterion_stops_the_run(call: Call, plan: Plan) -> None:
    """From B on: the server recommends to stop, and refuses to continue."""
    run_id = plan("poor", stop={"failure": [{"metric": "poor.best.auc", "below": 0.5}]})
    call("execute_stage", run_id=run_id)
    assert call("validate_stage", run_id=run_id)["recommended"] == "continue"
    call("decide", run_id=run_id, **GO_ON)
    call("execute_stage", run_id=run_id)
    verdict = call("validate_stage", run_id=run_id)
    assert (verdict["recommended"], verdict["next"]["arguments"]["decision"]) == ("stop", "stop")
    assert "failure criterion met: poor.best.auc < 0.5 (measured 0.1)" in verdict["recommended_why"]
