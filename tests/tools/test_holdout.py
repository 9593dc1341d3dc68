"""A sealed hold-out through the tools: planned, kept out of the run, asked for once, counted over all runs."""

import json
import re
import stat
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import anndata as ad
import pytest

from stagewright.state.artifacts import ArtifactWriter, Outcome
from stagewright.state.events import AttemptFinished, AttemptStarted, Decided, StepValidated
from stagewright.state.holdout import HoldoutScore
from stagewright.state.ledger import Ledger
from stagewright.state.policy import parse_policy
from stagewright.state.publishing import publish
from stagewright.state.records import ArtifactSeal, GateTally
from stagewright.state.refusals import Refusal
from stagewright.tools import Workspace

pytestmark = pytest.mark.usefixtures("look_here")

Call = Callable[..., dict[str, Any]]
Declare = Callable[..., dict[str, Any]]
END = {"decision": "continue", "rationale": "the gates passed"}
SUMMARY = "preprocess,method,k,penalty,alpha,best\nhvg_20,pca,2,l1,0.1,False\nhvg_20,pca,2,l1,1.0,True\n"
CHANGES: dict[str, Any] = {
    "preprocess": [{"method": "hvg", "n_top_genes": 20}],
    "reduction": {"methods": ["pca"], "k": [2], "seeds": [1]},
    "classifier": {"alphas": [0.1, 1.0], "cv": {"folds": 2, "repeats": 1}},
}


@pytest.fixture
def study(declare: Declare) -> Declare:
    """Return a function that gives a spec with a hold-out of half of the four patients."""

    def declared(**changes: object) -> dict[str, Any]:
        return declare("plan0", "plan1b", **CHANGES | {"holdout": {"patients": 0.5, "queries": 2}} | changes)

    return declared


def put_aside(workspace: Workspace) -> list[str]:
    """Return who lies in the lock-box, from its log."""
    entries = map(json.loads, (workspace.root / ".stagewright-lockbox/lockbox.log").read_text().splitlines())
    return next(entry["patients"] for entry in entries if entry["event"] == "put_aside")


def bring_to_the_end(workspace: Workspace, run_id: str) -> None:
    """Commit what the loop commits up to the last verdict, with a summary of Plan 1B that was sealed at C."""
    run = workspace.run(run_id)
    digest = "0" * 64
    with Ledger(run).transition() as transition:
        for step in transition.state.steps:
            number = transition.state.attempt + 1
            folder = run.attempt(number, step)
            started = {"directory": folder.relative_to(run.path).as_posix(), "command": ("none",)}
            transition.commit(
                AttemptStarted(message="x", step=step, attempt=number, request_sha256=digest, **started)  # type: ignore[arg-type]
            )
            seal = ArtifactSeal(outcome="attempts/x", outcome_sha256=digest, count=0, bytes=0)
            if step == "C/plan1b":
                writer = ArtifactWriter(folder / "staging")
                place = PurePosixPath("C/analysis/classification_grid/plan1b_summary.csv")
                writer.place(place).write_text(SUMMARY)
                writer.record(place, "csv")
                outcome = Outcome(step=step, attempt=number, artifacts=writer.artifacts())
                seal = publish(run.path, folder, outcome, kept=())
            ended: dict[str, Any] = {"elapsed_s": 1.0, "peak_rss_bytes": 1, "artifacts": seal}
            transition.commit(
                AttemptFinished(message="x", step=step, attempt=number, outcome="executed", exit_status=0, **ended)
            )
            judged: dict[str, Any] = {"verdict": "pass", "recommended": "continue", "recommended_why": "so"}
            tally = GateTally(passed=1, warned=0, failed=0, errors=0)
            transition.commit(
                StepValidated(message="x", step=step, attempt=number, gates=tally, elapsed_s=1.0, **judged)
            )
            if step != "C/plan1b":
                so: dict[str, Any] = {"decision": "continue", "call_digest": digest, "before_first_look": True}
                transition.commit(Decided(message="x", step=step, rationale="so", **so))


def test_planning_puts_patients_aside(call: Call, study: Declare, workspace: Workspace) -> None:
    """The run keeps the others, counts, and a commitment; whom it left out lies in the lock-box alone."""
    dry = call("plan_run", spec=study(), dry_run=True)
    assert not (workspace.root / ".stagewright-lockbox").exists()
    reply = call("plan_run", spec=study())
    assert (reply["n_patients"], reply["n_cells"]) == (dry["n_patients"], dry["n_cells"]) == (2, 60)
    assert "2 more patients (60 cells) are put aside" in reply["summary"]
    held = put_aside(workspace)
    assert len(held) == 2
    run = workspace.run(reply["run_id"])
    sealed = Ledger(run).read().holdout
    assert sealed is not None
    assert {*sealed.working, *held} == {"p0", "p1", "p2", "p3"}
    assert call("plan_run", spec=study())["run_id"] == run.run_id
    assert stat.S_IMODE((workspace.root / ".stagewright-lockbox").stat().st_mode) == 0o700
    varied = call("plan_run", spec=study(objective="Once more?"))
    assert Ledger(workspace.run(varied["run_id"])).read().holdout == sealed, "no fresh draw to shop for"
    names = re.compile("|".join(rf"\b{name}\b" for name in held))
    for path in (workspace.root / "experiments").rglob("*"):
        assert not path.is_file() or not names.search(path.read_text(errors="replace")), path


def test_the_end_of_a_run_asks_once_and_all_runs_share_the_count(
    call: Call, study: Declare, workspace: Workspace
) -> None:
    """Scored, answered from the record, counted for the next run, and refused to the third, which completes without."""
    first = call("plan_run", spec=study())["run_id"]
    bring_to_the_end(workspace, first)
    waiting = call("read_state", run_id=first)["items"][0]["holdout"]
    assert waiting["score"] == "asked for by the decision that completes the run"
    assert "working" not in waiting
    ended = call("decide", run_id=first, **END)
    assert ended["status"] == "completed"
    score = HoldoutScore.model_validate(ended["holdout"])
    assert (score.outcome, score.n_patients, score.n_cells, score.query, score.queries) == ("scored", 2, 60, 1, 2)
    assert score.configuration == "hvg_20/pca/k_2/l1/alpha 1"
    assert score.auc is not None
    assert score.auc_low is not None
    assert score.auc_low <= score.auc <= score.auc_high <= 1  # type: ignore[operator]
    again = call("decide", run_id=first, **END)
    assert (again["repeated"], again["holdout"]) == (True, ended["holdout"])

    run = workspace.run(first)
    assert Ledger(run).fold().holdout_score == score
    decided = list(Ledger(run).detail("decision").entries())[-1]
    assert decided["holdout"]["auc"] == score.auc  # type: ignore[index,call-overload]
    assert f"hold-out AUC {score.auc:.3f}" in str(decided["message"])
    metrics = call("read_state", run_id=first, view="metrics")["items"]
    assert {"step": "holdout", "metric": "holdout.auc", "value": score.auc} in metrics
    assert json.loads(run.snapshot.read_text())["holdout"]["score"]["auc"] == score.auc
    assert f"auc: {score.auc}" in run.manifest.read_text()
    names = re.compile("|".join(rf"\b{name}\b" for name in put_aside(workspace)))
    for path in (workspace.root / "experiments").rglob("*"):
        assert not path.is_file() or not names.search(path.read_text(errors="replace")), path

    second = call("plan_run", spec=study(holdout={"patients": 0.5, "queries": 9}))
    assert "holdout: earlier runs used 1 of 2 queries about these patients" in second["warnings"]
    bring_to_the_end(workspace, second["run_id"])
    other = call("decide", run_id=second["run_id"], **END)["holdout"]
    assert (other["auc"], other["query"], other["queries"]) == (score.auc, 2, 2)

    third = call("plan_run", spec=study(objective="A third time?"))
    assert any("so this run completes without a score" in warning for warning in third["warnings"])
    bring_to_the_end(workspace, third["run_id"])
    refused = call("decide", run_id=third["run_id"], **END)
    assert (refused["status"], refused["holdout"]["outcome"]) == ("completed", "used_up")
    assert "auc" not in refused["holdout"]
    assert "hold-out not asked: all 2 queries about these patients were used before" in refused["summary"]


@pytest.mark.slow
def test_a_query_that_cannot_be_answered_decides_nothing_and_is_counted_once(
    call: Call, study: Declare, workspace: Workspace
) -> None:
    """Data that are gone, then put back: the same call is answered, under the count of the first."""
    run_id = call("plan_run", spec=study())["run_id"]
    bring_to_the_end(workspace, run_id)
    data = workspace.root / "cohort.h5ad"
    whole = data.read_bytes()
    data.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(Refusal) as caught:
        call("decide", run_id=run_id, **END)
    assert caught.value.code == "unavailable"
    assert "is not the file that was sealed" in caught.value.message
    assert Ledger(workspace.run(run_id)).read().status == "validated"
    data.write_bytes(whole)
    assert call("decide", run_id=run_id, **END)["holdout"]["query"] == 1


@pytest.mark.slow
def test_a_changed_summary_or_a_lost_lock_box_is_refused(call: Call, study: Declare, workspace: Workspace) -> None:
    """The configuration is the sealed one, and who is scored are those of the commitment."""
    run_id = call("plan_run", spec=study())["run_id"]
    bring_to_the_end(workspace, run_id)
    summary = workspace.run(run_id).path / "C/analysis/classification_grid/plan1b_summary.csv"
    summary.write_text(SUMMARY.replace("1.0,True", "0.5,True"))
    with pytest.raises(Refusal, match="is not the file that C/plan1b sealed"):
        call("decide", run_id=run_id, **END)
    summary.write_text(SUMMARY)
    (workspace.root / ".stagewright-lockbox").rename(workspace.root / "elsewhere")
    with pytest.raises(Refusal, match="does not hold the patients of this run's commitment"):
        call("decide", run_id=run_id, **END)
    policy = parse_policy('[holdout]\ndirectory = "elsewhere"\n', workspace.root)
    within = Workspace(root=workspace.root, policy=policy)
    assert call("decide", within=within, run_id=run_id, **END)["holdout"]["outcome"] == "scored"


def test_a_file_written_again_is_the_same_hold_out(call: Call, study: Declare, workspace: Workspace) -> None:
    """Another order of cells, another name for a patient, another column: the same patients, and no fresh count."""
    call("plan_run", spec=study())
    held = put_aside(workspace)
    data = ad.read_h5ad(workspace.root / "cohort.h5ad")[::-1].copy()
    data.obs["patient"] = data.obs["patient"].cat.rename_categories(
        {name: f"x{name}" for name in ("p0", "p1", "p2", "p3")}
    )
    data.obs["more"] = 1
    data.write_h5ad(workspace.root / "other.h5ad")
    spec = study()
    spec["data"] |= {"path": "other.h5ad"}
    working = Ledger(workspace.run(call("plan_run", spec=spec)["run_id"])).read().holdout
    assert working is not None
    assert {name.removeprefix("x") for name in working.working} == {"p0", "p1", "p2", "p3"} - set(held)


@pytest.mark.parametrize(
    ("changes", "code", "says"),
    [
        ({"holdout": {"patients": 0.2}}, "invalid_data", "the smallest feasible fraction is 0.38"),
        ({"holdout": {"patients": 0.8}}, "invalid_data", "the largest feasible fraction is 0.62"),
        ({"reduction": {"replicates": "bootstrap_patients"}}, "invalid_data", "no fraction is feasible"),
        ({"stages": ["plan0", "plan1a"]}, "unavailable", "holdout: what is scored at the end is the best"),
        ({"stages": ["plan0", "plan1b", "ok"]}, "unavailable", "the command stage ok is given the whole data file"),
        ({"reduction": {"methods": ["harmony"]}}, "unavailable", "holdout: harmony cannot score cells"),
        (
            {"holdout": {"patients": 0.5, "queries": 11}},
            "over_cap",
            "holdout.queries: got 11; the operator's cap is 10",
        ),
    ],
    ids=range(7),
)
def test_a_hold_out_that_cannot_be(
    study: Declare, refused: Callable[..., Refusal], changes: dict[str, Any], code: str, says: str
) -> None:
    """Refused at planning with what is feasible, and nothing is put aside."""
    assert says in refused(code, "plan_run", spec=study(**changes)).message


def test_no_call_reads_the_lock_box(call: Call, study: Declare, workspace: Workspace) -> None:
    """A path of an agent's that leads there is refused before anything looks at it."""
    call("plan_run", spec=study())
    (workspace.root / "link").symlink_to(workspace.root / ".stagewright-lockbox")
    for path in (".stagewright-lockbox/lockbox.log", "link/lockbox.log"):
        with pytest.raises(Refusal, match="lies in the lock-box"):
            call("plan_run", spec=path)
        spec = study()
        spec["data"] = spec["data"] | {"path": path}
        with pytest.raises(Refusal, match="lies in the lock-box"):
            call("plan_run", spec=spec)


def test_a_damaged_lock_box_is_told(call: Call, study: Declare, workspace: Workspace) -> None:
    call("plan_run", spec=study())
    log: Path = workspace.root / ".stagewright-lockbox/lockbox.log"
    log.write_text(log.read_text().replace('"queries": 2', '"queries": 9'))
    with pytest.raises(Refusal, match="does not hold together") as caught:
        call("plan_run", spec=study())
    assert caught.value.code == "damaged"
