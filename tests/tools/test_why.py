"""`stagewright why`: from the record of real runs, why something ran, was reused, blocked or refused."""

import time
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from stagewright.server.cli.why_lines import why_lines
from stagewright.state.lock import is_alive
from stagewright.state.refusals import Refusal
from stagewright.tools import Workspace
from stagewright.tools.why.answers import WhyStep, WhyUnit
from stagewright.tools.why_of import why_of

Call = Callable[..., dict[str, Any]]
Plan = Callable[..., str]


def text_of(answer: WhyStep | WhyUnit) -> str:
    """Return the answer as a person reads it, and check that it fits 80 columns."""
    lines = [text for text, _ in why_lines(answer, 80)]
    assert all(len(line) <= 80 for line in lines)
    return " ".join(" ".join(lines).split())


def step_of(workspace: Workspace, run_id: str, step: str) -> WhyStep:
    """Return the answer on a step."""
    answer = why_of(workspace, run_id, step)
    assert isinstance(answer, WhyStep)
    return answer


def test_why_a_step_was_tried_again(plan: Plan, call: Call, workspace: Workspace) -> None:
    """The first attempt because it was planned, the second because the first failed in a way that may pass."""
    run_id = plan("flaky")
    call("execute_stage", run_id=run_id)
    answer = step_of(workspace, run_id, "A/flaky")
    first, second = answer.attempts
    assert (first.outcome, second.outcome) == ("failed", "executed")
    assert "the run was planned" in first.because.text
    assert first.failure == "killed"
    assert "attempt 1 failed (killed, which may pass by itself) and was tried again after" in second.because.text
    assert second.started_by == "supervisor"
    assert second.units is not None
    assert [(group.how, group.why, group.count) for group in second.units] == [("ran", "no earlier result", 1)]
    assert "1 of 1 units ran: no earlier result" in text_of(answer)


def test_why_a_step_was_blocked_and_opened_again(plan: Plan, call: Call, workspace: Workspace) -> None:
    """Error, proposals, what was applied, and the attempt that followed from it."""
    run_id = plan("crashes")
    blocked = call("execute_stage", run_id=run_id)["blocked"]
    call("decide", run_id=run_id, decision="adjust", rationale="the gene is there now", proposal=0)
    call("execute_stage", run_id=run_id)
    answer = step_of(workspace, run_id, "A/crashes")
    assert "blocked here" in answer.now
    block = next(item for item in answer.happened if item.what == "blocked")
    assert block.attempt == 1
    assert "ended with status 1" in block.text
    assert block.details[0].startswith(f"proposal 0: {blocked['proposals'][0]['what']}")
    decision = next(item for item in answer.happened if item.what == "decision")
    assert f"applied: {blocked['proposals'][0]['what']}" in decision.details
    assert "decided adjust, by the proposal" in answer.attempts[1].because.text
    assert "the gene is there now" in answer.attempts[1].because.text
    assert [unit.how for unit in answer.attempts[0].units or ()] == ["failed"]
    text = text_of(answer)
    for wanted in ("proposal 0", "the gene is there now", "traceback.txt"):
        assert wanted in text


def test_why_a_verdict_failed(plan: Plan, call: Call, workspace: Workspace) -> None:
    """What was measured, and against which threshold."""
    run_id = plan("ok")
    call("execute_stage", run_id=run_id)
    (workspace.run(run_id).path / "A/analysis/ok/result.json").unlink()
    call("validate_stage", run_id=run_id)
    answer = step_of(workspace, run_id, "A/ok")
    (verdict,) = (item for item in answer.happened if item.what == "verdict")
    assert verdict.word == "fail"
    assert any("measured" in detail and "threshold" in detail for detail in verdict.details)
    assert "result.json" in text_of(answer)


def test_why_calls_were_refused(plan: Plan, call: Call, workspace: Workspace) -> None:
    """With code and message, at the step that the run was at; the same again is counted."""
    run_id = plan("ok", "second")
    for _ in range(3):
        with pytest.raises(Refusal):
            call("validate_stage", run_id=run_id)
    call("execute_stage", run_id=run_id)
    call("validate_stage", run_id=run_id)
    call("decide", run_id=run_id, decision="continue", rationale="fine")
    with pytest.raises(Refusal):
        call("decide", run_id=run_id, decision="continue", rationale="")  # names no status, and is of A/second
    (first,) = (item for item in step_of(workspace, run_id, "A/ok").happened if item.what == "refused")
    assert first.word == "not_allowed_now"
    assert "validate_stage was refused" in first.text
    assert "(3 times in a row)" in first.text
    assert first.by == "tests"
    (second,) = (item for item in step_of(workspace, run_id, "A/second").happened if item.what == "refused")
    assert second.word == "invalid_argument"


def test_why_a_step_was_not_reached(plan: Plan, call: Call, workspace: Workspace) -> None:
    """The run stands elsewhere."""
    run_id = plan("crashes")
    call("execute_stage", run_id=run_id)
    assert step_of(workspace, run_id, "C/crashes").now == "not reached: the run is blocked at A/crashes"


def test_why_a_lost_attempt_was_followed_by_another(plan: Plan, call: Call, workspace: Workspace) -> None:
    """The call that found the loss started the next."""
    run_id = plan("waits")
    call("execute_stage", run_id=run_id, wait_s=0)
    folder = workspace.run(run_id).attempt(1, "A/waits")
    for process in psutil.process_iter(["cmdline"]):
        if process.info["cmdline"] and process.info["cmdline"][-2:] == ["supervise", str(folder)]:
            process.kill()
    for _ in range(500):  # the system takes the lock from the killed one a moment later
        if is_alive(folder / "alive.lock"):
            time.sleep(0.01)
    (workspace.root / "go").touch()
    call("execute_stage", run_id=run_id)
    answer = step_of(workspace, run_id, "A/waits")
    assert [attempt.outcome for attempt in answer.attempts] == ["lost", "executed"]
    assert "attempt 1 was lost" in answer.attempts[1].because.text


@pytest.fixture
def adjusted_sweep(call: Call, declare: Callable[..., dict[str, Any]]) -> str:
    """Sweep K of a real Plan 0, add a K, and sweep again."""
    spec = declare(
        "plan0",
        preprocess=[{"method": "all_filtered", "min_cells_fraction": 0.02}],
        reference={"method": "all_filtered", "min_cells_fraction": 0.02},
        reduction={"methods": ["pca"], "k": [2, 3], "seeds": [1, 2]},
        checkpoints={"A": {"n_k": 3}},
    )
    run_id = str(call("plan_run", spec=spec)["run_id"])
    call("execute_stage", run_id=run_id, wait_s=120)
    call("validate_stage", run_id=run_id)
    call("decide", run_id=run_id, decision="adjust", rationale="look higher", adjustments={"k": [2, 3, 4]})
    call("execute_stage", run_id=run_id, wait_s=120)
    return run_id


def test_why_units_were_reused_after_an_adjustment(adjusted_sweep: str, workspace: Workspace) -> None:
    """Of the step how many, in groups of one reason; of a unit, from which attempt and what of its inputs changed."""
    answer = step_of(workspace, adjusted_sweep, "A/plan0")
    second = answer.attempts[1]
    assert "(k: pca:2, pca:3 -> pca:2, pca:3, pca:4 (tightens)): look higher" in second.because.text
    counts = {how: sum(group.count for group in second.units or () if group.how == how) for how in ("ran", "reused")}
    assert counts["ran"] > 0
    assert counts["reused"] > 0
    total = sum(counts.values())
    assert f"{counts['reused']} of {total} units reused: same inputs as attempt 1 of A/plan0" in text_of(answer)
    unit = why_of(workspace, adjusted_sweep, "pca/k_3/held_out")
    assert isinstance(unit, WhyUnit)
    assert [(part.attempt, part.how, part.made_by) for part in unit.parts] == [(1, "ran", None), (2, "reused", 1)]
    assert "its result was there already: same inputs as attempt 1 of A/plan0" in text_of(unit)
    new = why_of(workspace, adjusted_sweep, "k_4/held")  # a part of its name that no other has
    assert isinstance(new, WhyUnit)
    assert [(part.attempt, part.how) for part in new.parts] == [(2, "ran")]
    assert new.parts[0].why
    with pytest.raises(Refusal, match="name one"):
        why_of(workspace, adjusted_sweep, "held_out")


def test_what_is_not_there_is_refused_with_the_nearest(plan: Plan, call: Call, workspace: Workspace) -> None:
    """A step or unit that nobody knows."""
    run_id = plan("ok")
    call("execute_stage", run_id=run_id)
    with pytest.raises(Refusal, match=r"did you mean 'A/ok'\?(.|\n)*the steps are A/ok, B/ok, C/ok"):
        why_of(workspace, run_id, "A/okk")
