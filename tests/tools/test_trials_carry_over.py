"""What other runs tried on the same data and label counts in a new one, whoever is named as its parent."""

import shutil
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from stagewright.state.events import StepValidated
from stagewright.state.ledger import Ledger
from stagewright.state.spec.data import Label
from stagewright.tools import Workspace
from stagewright.tools.other_trials import other_trials

Call = Callable[..., dict[str, Any]]
Declare = Callable[..., dict[str, Any]]

pytestmark = pytest.mark.usefixtures("look_here")


def test_the_count_starts_from_all_runs_of_the_same_data_and_label(
    call: Call, declare: Declare, score: Callable[..., None], workspace: Workspace
) -> None:
    """Another objective, other cells or another parent do not reset it; the same configuration again adds nothing."""
    first = call("plan_run", spec=declare("ok"))["run_id"]
    score(first, "hvg_3000/pca", "hvg_3000/fa")
    second = call("plan_run", spec=declare("ok", objective="In other words."))
    assert (second["parent_run_id"], second["configurations_tried"]) == (first, 2)
    assert any("studied before, in 1 run" in warning for warning in second["warnings"])
    score(second["run_id"], "hvg_3000/fa", "hvg_3000/nmf")
    summary = call("read_state", run_id=second["run_id"])["items"][0]
    assert (summary["configurations_tried"], summary["of_them_in_other_runs"]) == (3, 2)

    filtered = declare("ok", preprocess=[{"method": "hvg", "n_top_genes": 50}])
    filtered["data"]["filters"] = [{"column": "patient", "drop": ["p0"]}]
    third = call("plan_run", spec=filtered, parent_run_id=first)
    assert (third["parent_run_id"], third["configurations_tried"]) == (first, 3), "the union, whoever is the parent"
    score(third["run_id"], "hvg_3000/fa")
    state = Ledger(workspace.run(third["run_id"])).fold()
    assert state.configurations_tried == 4, "the same name on other cells is another trial"
    manifest = yaml.safe_load(workspace.run(second["run_id"]).manifest.read_text())["run"]
    assert manifest["parent_run_id"] == first
    assert manifest["configurations_tried"]["in_other_runs"] == {first: 2}


def test_a_run_that_was_removed_is_remembered_by_those_that_follow(
    call: Call, declare: Declare, score: Callable[..., None], workspace: Workspace
) -> None:
    """The count of a run is in the ledgers of later ones; that of a damaged ledger is what can still be read."""
    first = call("plan_run", spec=declare("ok"))["run_id"]
    score(first, "hvg_3000/pca")
    second = call("plan_run", spec=declare("ok"))["run_id"]
    score(second, "hvg_3000/fa")
    shutil.rmtree(workspace.run(first).path)
    log = workspace.run(second).log("agent_run")
    log.write_bytes(log.read_bytes() + b"no JSON\n")
    third = call("plan_run", spec=declare("ok", objective="Once more"))
    assert (third["parent_run_id"], third["configurations_tried"]) == (second, 2)


def test_what_is_tried_beside_a_run_counts_from_its_next_attempt(
    call: Call, declare: Declare, score: Callable[..., None], workspace: Workspace
) -> None:
    """Planning two runs before either is executed gives neither of them a clean record."""
    first = call("plan_run", spec=declare("ok"))["run_id"]
    second = call("plan_run", spec=declare("ok", objective="At the same time"))["run_id"]
    assert second != first
    score(first, "hvg_3000/pca", "hvg_3000/fa")
    assert Ledger(workspace.run(second)).fold().configurations_tried == 0
    call("execute_stage", run_id=second)
    assert Ledger(workspace.run(second)).fold().inherited_configurations == 2
    rows = call("read_state", run_id=second, view="trials")["items"]
    assert [(row["run_id"], row["configuration"]) for row in rows] == [(first, "hvg_3000/pca"), (first, "hvg_3000/fa")]


def test_the_table_of_trials_marks_what_was_abandoned(
    call: Call, declare: Declare, score: Callable[..., None], workspace: Workspace
) -> None:
    """A score stands until its step is opened again, executed again, or loses the configuration to an adjustment."""
    run_id = call("plan_run", spec=declare("ok"))["run_id"]
    score(run_id, "hvg_3000/pca", "hvg_3000/fa")

    def why() -> list[str | None]:
        rows = call("read_state", run_id=run_id, view="trials")["items"]
        assert all((row["step"], row["value"]) == ("A/ok", 0.7) for row in rows)
        return [row.get("abandoned") for row in rows]

    assert why() == [None, None]
    place = {"message": "told by the test", "step": "A/ok"}
    with Ledger(workspace.run(run_id)).transition() as transition:
        tally = {"passed": 1, "warned": 0, "failed": 0, "errors": 0}
        verdict = {"attempt": 1, "verdict": "pass", "gates": tally, "elapsed_s": 1.0}
        verdict |= {"recommended": "continue", "recommended_why": "it passed"}
        transition.commit(StepValidated.model_validate(place | verdict))
    reply = call(
        "decide",
        run_id=run_id,
        decision="adjust",
        rationale="pca and nmf will do",
        adjustments={"methods": ["pca", "nmf"]},
    )
    assert "(loosens, before the first look)" in reply["summary"]
    entry = Ledger(workspace.run(run_id)).detail("decision").last()
    assert entry is not None
    assert "(loosens, before the first look)" in str(entry["message"])
    assert why() == ["the step was opened again by an adjustment"] * 2
    score(run_id, "hvg_3000/pca", "hvg_3000/nmf")
    assert why() == [None, None, *["attempt 2 was executed after it"] * 2]


def test_two_questions_are_told_apart_by_their_classes(
    call: Call, declare: Declare, score: Callable[..., None], workspace: Workspace
) -> None:
    """A class in common is the same question; another column, or two other classes, is another."""
    run_id = call("plan_run", spec=declare("ok"))["run_id"]
    data = Ledger(workspace.run(run_id)).fold().data.sha256

    def newest(column: str, positive: str, negative: str) -> str | None:
        label = Label(column=column, positive=positive, negative=negative)
        return other_trials(workspace, data, label).newest

    assert newest("label", "malignant", "normal") is None, "a run that was only planned has tried nothing"
    score(run_id, "hvg_3000/pca")
    assert newest("label", "normal", "malignant") == newest("label", "doublet", "malignant") == run_id
    assert newest("label", "doublet", "debris") is None
    assert newest("one_level", "malignant", "normal") is None
