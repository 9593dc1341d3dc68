"""An agent that would rather be done than right: every trick fails, and the record shows that it was tried."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stagewright.state.refusals import Refusal
from stagewright.state.run_directory import RunDirectory
from stagewright.tools import Workspace
from stagewright.tools.verify_run import verify_run

Call = Callable[..., dict[str, Any]]
At = Callable[[str], str]
Refused = Callable[..., Refusal]
Declare = Callable[..., dict[str, Any]]

RESULT = "A/analysis/ok/result.json"
ARGUED = "The gate is too strict and the AUC is excellent, so we continue."


@pytest.fixture
def run_at(at: At, workspace: Workspace) -> Callable[[str], RunDirectory]:
    """Return a function that brings a run to a status through real calls."""
    return lambda status: workspace.run(at(status))


def _named(run: RunDirectory) -> set[str]:
    """Return the files that `verify` names."""
    return {problem.file for problem in verify_run(run)}


def _entries(run: RunDirectory, log: str) -> list[dict[str, Any]]:
    return _lines(run.log(log))


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _rewrite(path: Path, change: Callable[[str], str]) -> None:
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")


def test_red_gates_are_not_argued_away(run_at: Callable[[str], RunDirectory], refused: Refused, call: Call) -> None:
    """Neither good reasons nor another judgement nor the next step leads on, and each try stands in the record."""
    run = run_at("failed")
    refused("not_allowed_now", "decide", run_id=run.run_id, decision="continue", rationale=ARGUED)
    refused("not_allowed_now", "execute_stage", run_id=run.run_id)
    assert call("validate_stage", run_id=run.run_id, again=True)["verdict"] == "fail"
    refused("not_allowed_now", "decide", run_id=run.run_id, decision="continue", rationale=ARGUED)
    tried = [entry for entry in _entries(run, "tool_calls") if ARGUED in json.dumps(entry)]
    assert len(tried) == 2
    assert all("not_allowed_now" in json.dumps(entry) for entry in tried)
    assert {entry["verdict"] for entry in _entries(run, "agent_run") if entry["event"] == "step_validated"} == {"fail"}
    assert not any(entry["event"] == "decided" for entry in _entries(run, "agent_run"))


@pytest.mark.parametrize(
    "sealed",
    [
        {"gates": {"duplicate_axes": {"at_most": 1.0}}},
        {"stop": {"failure": []}},
        {"data": {"label": {"positive": "normal", "negative": "malignant"}}},
        {"cv": {"folds": 2}},
        {"holdout": {"patients": 0.1}},
        {"objective": "What can be shown?"},
        {"approvals": []},
    ],
    ids=lambda sealed: next(iter(sealed)),
)
def test_what_was_sealed_is_not_adjusted(
    sealed: dict[str, Any], run_at: Callable[[str], RunDirectory], refused: Refused
) -> None:
    """Thresholds, labels, criteria and folds are those of the plan, whatever the gates said since."""
    run = run_at("failed")
    given = {"run_id": run.run_id, "decision": "adjust", "rationale": ARGUED, "adjustments": sealed}
    refusal = refused("sealed", "decide", **given)
    assert next(iter(sealed)) in str(refusal)
    tried = _entries(run, "tool_calls")[-1]
    assert (tried["arguments"]["adjustments"], tried["refusal"]["refused"]) == (sealed, "sealed")
    assert not any(entry["event"] == "decided" for entry in _entries(run, "agent_run"))


def test_results_that_were_edited_after_the_seal_do_not_pass(
    run_at: Callable[[str], RunDirectory], refused: Refused, call: Call
) -> None:
    """The gates see it, whoever made the step look better, and `verify` names the file."""
    run = run_at("executed")
    (run.path / RESULT).write_text("[2]", encoding="utf-8")
    reply = call("validate_stage", run_id=run.run_id)
    assert (reply["verdict"], reply["worst"][0]["gate"]) == ("fail", "artifact_integrity")
    refused("not_allowed_now", "decide", run_id=run.run_id, decision="continue", rationale=ARGUED)
    assert RESULT in _named(run)


def test_results_that_were_edited_after_the_verdict_are_named(run_at: Callable[[str], RunDirectory]) -> None:
    """A step that passed with other results than those that lie there now."""
    run = run_at("validated")
    (run.path / RESULT).write_text("[2]", encoding="utf-8")
    assert RESULT in _named(run)


@pytest.mark.usefixtures("look_here")
def test_planning_the_goal_again_until_it_passes_hides_no_try(
    call: Call, declare: Declare, score: Callable[..., None], refused: Refused, workspace: Workspace
) -> None:
    """Each new run names the one before and starts from the count of all; the failed ones stay as they failed."""
    runs: list[str] = []
    for tried in ("hvg_3000/pca", "hvg_3000/fa", "hvg_3000/nmf"):
        reply = call("plan_run", spec=declare("ok"))
        assert reply.get("parent_run_id") == (runs[-1] if runs else None)
        assert reply["configurations_tried"] == len(runs)
        assert reply["run_id"] not in runs
        runs.append(reply["run_id"])
        score(runs[-1], tried)
        assert call("validate_stage", run_id=runs[-1])["verdict"] == "fail"
        refused("not_allowed_now", "decide", run_id=runs[-1], decision="continue", rationale=ARGUED)
    clean_slate = call("plan_run", spec=declare("ok", objective="What passes?"), parent_run_id=runs[0])
    assert clean_slate["configurations_tried"] == 3, "another question and an older parent forget nothing"
    first = _entries(workspace.run(clean_slate["run_id"]), "agent_run")[0]
    assert set(first["tried_before"]) == set(runs)
    states = [workspace.ledger(run_id).read() for run_id in runs]
    assert {(state.status, state.verdict) for state in states} == {("validated", "fail")}
    assert [state.configurations_tried for state in states] == [1, 2, 3]
    assert {item["run_id"] for item in call("read_state")["items"]} == {*runs, clean_slate["run_id"]}


@pytest.mark.usefixtures("look_here")
def test_the_hold_out_is_not_read(call: Call, declare: Declare, refused: Refused, workspace: Workspace) -> None:
    """No path leads into the lock-box, no view names whom it holds, and no early end asks it; each try is recorded."""
    spec = declare("plan0", "plan1b", holdout={"patients": 0.5, "queries": 2})
    run = workspace.run(call("plan_run", spec=spec)["run_id"])
    box = workspace.root / ".stagewright-lockbox" / "lockbox.log"
    held = next(entry["patients"] for entry in _lines(box) if entry["event"] == "put_aside")
    assert len(held) == 2
    before = box.read_bytes()
    peeking = spec | {"data": spec["data"] | {"path": box.relative_to(workspace.root).as_posix()}}
    assert "lock-box" in str(refused("outside_root", "plan_run", spec=peeking))
    refused("not_allowed_now", "decide", run_id=run.run_id, decision="continue", rationale=ARGUED)
    given = {"run_id": run.run_id, "decision": "adjust", "rationale": ARGUED}
    refused("sealed", "decide", **given, adjustments={"holdout": None})
    names = re.compile("|".join(rf"\b{name}\b" for name in held))
    for view in ("summary", "runs", "logs", "metrics", "artifacts", "gates", "spec", "trials"):
        assert not names.search(json.dumps(call("read_state", run_id=run.run_id, view=view))), view
    assert box.read_bytes() == before, "no query was spent"
    tries = [*_lines(workspace.root / "experiments" / "tool_calls.log"), *_entries(run, "tool_calls")]
    assert [entry["refusal"]["refused"] for entry in tries if "refusal" in entry] == [
        "outside_root",
        "not_allowed_now",
        "sealed",
    ]


def test_a_snapshot_that_says_validated_convinces_nobody(
    run_at: Callable[[str], RunDirectory], call: Call, workspace: Workspace
) -> None:
    """RUN_STATE.json is a cache: the decision is made on the ledger, and until then `verify` says what differs."""
    run = run_at("executed")
    _rewrite(run.snapshot, lambda text: text.replace('"executed"', '"validated"'))
    assert _named(run) == {"RUN_STATE.json"}
    with pytest.raises(Refusal) as caught:
        call("decide", run_id=run.run_id, decision="continue", rationale="it says validated")
    assert caught.value.code == "not_allowed_now"
    assert "executed" in str(caught.value.status)
    assert workspace.ledger(run.run_id).read().status == "executed"


@pytest.mark.parametrize(
    ("log", "cut", "names"),
    [
        ("agent_run", slice(1, 2), "logs/agent_run.log"),
        ("agent_run", slice(-1, None), "RUN_STATE.json"),
        ("validation", slice(-1, None), "logs/agent_run.log"),
        ("validation", slice(0, 1), "logs/validation.log"),
        ("tool_calls", slice(1, 2), "logs/tool_calls.log"),
    ],
)
def test_a_deleted_line_does_not_lead_on(
    log: str, cut: slice, names: str, run_at: Callable[[str], RunDirectory], call: Call
) -> None:
    """Without the verdict, or without what a gate found, nobody may continue, and `verify` names the place."""
    run = run_at("failed")
    lines = run.log(log).read_text(encoding="utf-8").splitlines(keepends=True)
    del lines[cut]
    run.log(log).write_text("".join(lines), encoding="utf-8")
    assert names in _named(run)
    with pytest.raises(Refusal):
        call("decide", run_id=run.run_id, decision="continue", rationale="nothing was found")


def test_a_forged_verdict_does_not_hold(run_at: Callable[[str], RunDirectory], call: Call) -> None:
    """An entry that the agent wrote itself breaks the chain: the run is closed to everybody until a person looks."""
    run = run_at("failed")
    last = _entries(run, "agent_run")[-1]
    forged = last | {"seq": last["seq"] + 1, "verdict": "pass", "recommended": "continue", "prev": last["hash"]}
    with run.log("agent_run").open("a", encoding="utf-8") as file:
        file.write(json.dumps(forged) + "\n")
    named = [problem.line for problem in verify_run(run) if problem.file == "logs/agent_run.log"]
    assert forged["seq"] in named
    with pytest.raises(Refusal) as caught:
        call("decide", run_id=run.run_id, decision="continue", rationale="it passed")
    assert caught.value.code == "damaged"


def test_a_finding_that_was_turned_around_is_named(run_at: Callable[[str], RunDirectory], call: Call) -> None:
    """A failure in validation.log that now says pass: the line is named, and the ledger's verdict stands."""
    run = run_at("failed")
    _rewrite(run.log("validation"), lambda text: text.replace('"severity": "fail"', '"severity": "pass"', 1))
    assert "logs/validation.log" in _named(run)
    with pytest.raises(Refusal):
        call("decide", run_id=run.run_id, decision="continue", rationale="it passed")
