"""Runs of registered commands, reproduced: what is done again, what is compared, what is refused."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from stagewright.server.cli.demo import demo_spec_text
from stagewright.state.ledger import Ledger
from stagewright.state.policy import parse_policy
from stagewright.state.refusals import Refusal
from stagewright.state.run_directory import list_runs
from stagewright.tools import Caller, Workspace, call_tool, complete
from stagewright.tools.approve import approve, report_to_approve
from stagewright.tools.replies import Tick
from stagewright.tools.reproduce.report import Reproduction, StepComparison
from stagewright.tools.reproduce.reproduce_run import Wish, reproduce_run

Call = Callable[..., dict[str, Any]]

CHANGING = """
[commands.clock]
argv = ["{python}", "-c", '''
import json, pathlib, time
now = time.time()
pathlib.Path("table.csv").write_text(f"patient,seconds,kept\\np1,{now},1\\n")
pathlib.Path("metrics.json").write_text(json.dumps({"seconds": now}))
''']

[commands.fails_once]
argv = ["{python}", "-c", '''
import pathlib, sys
tried = pathlib.Path(r"{data}").parent / "tried"
if not tried.exists():
    tried.touch()
    sys.exit("not yet")
pathlib.Path("result.json").write_text("[1]")
''']
"""


@pytest.fixture
def policy_text(policy_text: str) -> str:
    """Return the simulator's commands and one that never does the same twice."""
    return policy_text + CHANGING


@pytest.fixture
def through(call: Call) -> Callable[..., None]:
    """Return a function that executes and judges steps of a run and continues after each."""

    def steps(run_id: str, number: int) -> None:
        for _ in range(number):
            call("execute_stage", run_id=run_id, wait_s=60)
            call("validate_stage", run_id=run_id)
            call("decide", run_id=run_id, decision="continue", rationale="the gates passed")

    return steps


def reproduced(workspace: Workspace, run_id: str, wish: Wish | None = None) -> Reproduction:
    """Return the result."""
    *_, last = reproduce_run(workspace, workspace.run(run_id), wish or Wish())
    assert isinstance(last, Reproduction)
    return last


@pytest.mark.slow
def test_a_finished_run_is_the_same_and_leaves_nothing(
    plan: Callable[..., str], through: Callable[..., None], workspace: Workspace, tmp_path: Path
) -> None:
    """Every step is executed again in another root; the run's own root is only read."""
    run_id = plan("ok")
    through(run_id, 3)
    before = {path: path.stat().st_mtime_ns for path in workspace.run(run_id).path.rglob("*")}
    found = reproduced(workspace, run_id)
    assert found.equal, found
    assert [(step.step, step.attempt, step.again, step.verdict) for step in found.steps] == [
        ("A/ok", 1, 1, "pass"),
        ("B/ok", 2, 2, "pass"),
        ("C/ok", 3, 3, "pass"),
    ]
    assert all(step.n_artifacts for step in found.steps)
    assert found.folder is None
    assert {path: path.stat().st_mtime_ns for path in workspace.run(run_id).path.rglob("*")} == before
    kept = reproduced(workspace, run_id, Wish(into=tmp_path / "again", upto="A"))
    assert kept.folder == str(tmp_path / "again")
    assert [step.step for step in kept.steps] == ["A/ok"]
    lines = (tmp_path / "again/experiments" / str(kept.reproduced_as) / "logs/agent_run.log").read_text().splitlines()
    assert [json.loads(line)["event"] for line in lines][-1] == "step_validated"
    assert json.loads(lines[0])["actor"] == "reproduce"


def test_a_difference_is_named_and_measured(
    plan: Callable[..., str], through: Callable[..., None], workspace: Workspace
) -> None:
    """A command that writes the time: its file, column, metric and their differences."""
    run_id = plan("clock")
    through(run_id, 1)
    found = reproduced(workspace, run_id)
    assert not found.equal
    (step,) = found.steps
    (artifact,) = [item for item in step.artifacts if item.path.endswith("table.csv")]
    assert "1 values differ, in seconds" in artifact.how
    assert artifact.largest_absolute is not None
    assert 0 < artifact.largest_absolute < 600
    assert [item.name for item in step.metrics] == ["clock.seconds"]
    assert found.folder is not None
    assert (Path(found.folder) / "experiments").is_dir(), "left, to be looked at"
    shutil.rmtree(found.folder)


@pytest.mark.slow
def test_failed_attempts_are_left_out_and_adjusted_steps_done_twice(
    plan: Callable[..., str], call: Call, workspace: Workspace
) -> None:
    """A blocked step that was opened again and a step that was executed twice; a stop ends the record."""
    run_id = plan("fails_once")
    assert call("execute_stage", run_id=run_id, wait_s=60)["status"] == "blocked"
    call("decide", run_id=run_id, decision="adjust", rationale="try again", adjustments={"workers": 1})
    call("execute_stage", run_id=run_id, wait_s=60)
    call("validate_stage", run_id=run_id)
    call("decide", run_id=run_id, decision="adjust", rationale="other seeds", adjustments={"seeds": [4]})
    call("execute_stage", run_id=run_id, wait_s=60)
    call("validate_stage", run_id=run_id)
    call("validate_stage", run_id=run_id, again=True)
    call("decide", run_id=run_id, decision="stop", rationale="enough")
    found: list[Any] = list(reproduce_run(workspace, workspace.run(run_id), Wish(workers=1)))
    last = found[-1]
    steps = [item for item in found if isinstance(item, StepComparison)]
    assert last.broke_off is None, last
    assert [(step.attempt, step.again, step.newest) for step in steps] == [(2, 1, False), (3, 2, True)]
    assert any("attempts that failed or were cancelled: 1 (A/fails_once)" in note for note in last.notes)


@pytest.mark.slow
def test_approvals_and_unfinished_runs(
    plan: Callable[..., str], through: Callable[..., None], workspace: Workspace
) -> None:
    """A person's approval is given again for the record's; a run that waits is reproduced as far as it went."""
    run_id = plan("ok", approvals=["B"])
    through(run_id, 1)
    report = report_to_approve(workspace, run_id)
    approve(workspace, run_id, "looks fine", report.digest)
    through(run_id, 1)
    found = reproduced(workspace, run_id)
    assert found.equal
    assert [step.step for step in found.steps] == ["A/ok", "B/ok"]
    assert any("the record ends with C/ok planned" in note for note in found.notes)


@pytest.mark.slow
def test_data_are_compared_before_anything_is_executed(
    call: Call,
    declare: Callable[..., dict[str, Any]],
    through: Callable[..., None],
    workspace: Workspace,
    tmp_path: Path,
) -> None:
    """Changed data, no data, another file: each says what to do; a copy elsewhere will do."""
    run_id = call("plan_run", spec=declare("ok"))["run_id"]
    through(run_id, 1)
    data = workspace.root / "cohort.h5ad"
    copy = tmp_path / "copy.h5ad"
    shutil.move(data, copy)
    with pytest.raises(Refusal, match=r"is not there.*--data FILE"):
        reproduced(workspace, run_id)
    whole = copy.read_bytes()
    data.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(Refusal, match="does not hold the data that this run sealed"):
        reproduced(workspace, run_id)
    with pytest.raises(Refusal, match="there is no such file"):
        reproduced(workspace, run_id, Wish(data=tmp_path / "none.h5ad"))
    assert reproduced(workspace, run_id, Wish(data=copy, upto="A/ok")).equal


def test_what_cannot_be_reproduced_is_refused(
    plan: Callable[..., str], through: Callable[..., None], workspace: Workspace, tmp_path: Path, policy_text: str
) -> None:
    """Nothing executed, no such step, a step that was not reached, a folder that is in use, another command."""
    run_id = plan("ok")
    with pytest.raises(Refusal, match=r"no step of .* was executed"):
        reproduced(workspace, run_id)
    through(run_id, 1)
    for upto, why in (("D", "this run has the steps A/ok"), ("C", "the record ends before it; it reached A/ok")):
        with pytest.raises(Refusal, match=why):
            reproduced(workspace, run_id, Wish(upto=upto))
    with pytest.raises(Refusal, match="there is something in it"):
        reproduced(workspace, run_id, Wish(into=workspace.root))
    other = policy_text.replace("[commands.ok]", "[commands.other]")
    with pytest.raises(Refusal, match=r"the stage ok was the command .* --policy FILE"):
        reproduced(Workspace(root=workspace.root, policy=parse_policy(other, tmp_path)), run_id)
    spec = workspace.run(run_id).spec
    spec.write_text(spec.read_text() + "\n# changed\n")
    with pytest.raises(Refusal, match=r"spec\.yaml was changed after it was sealed"):
        reproduced(workspace, run_id)


@pytest.mark.slow
def test_what_other_runs_tried_counts_as_it_did(
    plan: Callable[..., str],
    through: Callable[..., None],
    workspace: Workspace,
    score: Callable[..., None],
    call: Call,
    declare: Callable[..., dict[str, Any]],
) -> None:
    """The runs that had tried something are not in the fresh root; their count, which adjusts p values, is."""
    score(plan("ok"), "hvg_3000/pca", "hvg_3000/fa")
    run_id = call("plan_run", spec=declare("ok", objective="Once more"))["run_id"]
    through(run_id, 1)
    score(plan("second"), "hvg_3000/nmf")
    through(run_id, 1)
    into = workspace.root / "again"
    found = reproduced(workspace, run_id, Wish(into=into))
    assert found.equal
    again = Workspace(root=into).run(str(found.reproduced_as))
    counts = [Ledger(run).fold().configurations_tried for run in (workspace.run(run_id), again)]
    assert counts[0] == counts[1] == 3


@pytest.mark.slow
def test_a_reproduction_that_is_given_up_leaves_nothing_running(
    plan: Callable[..., str], call: Call, workspace: Workspace, tmp_path: Path
) -> None:
    """Its supervisor lives on by itself, so it is told to stop before the folder goes."""
    (workspace.root / "go").touch()
    run_id = plan("waits")
    assert call("execute_stage", run_id=run_id, wait_s=60)["status"] == "executed"
    work = reproduce_run(workspace, workspace.run(run_id), Wish())
    for item in work:
        if isinstance(item, Tick) and list(tmp_path.glob("scratch/*/pid")):  # there is no file `go` in the fresh root
            break
    work.close()
    deadline = time.monotonic() + 5  # it has let go of its lock, and needs a moment to be gone
    while (left := at_work_in(tmp_path / "scratch")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_real_stages_are_the_same_with_any_number_of_workers(demo: Workspace, workers: int) -> None:
    """Checkpoint A of the demo, smaller: the same sha256 of every artifact, metric and finding, 0 differences."""
    (run,) = list_runs(demo.root)
    found = reproduced(demo, run.run_id, Wish(workers=workers))
    assert found.equal, found
    assert [step.step for step in found.steps] == ["A/plan0", "A/plan1a", "A/plan1b"]
    assert sum(step.n_artifacts for step in found.steps) > 50
    assert all(step.n_findings for step in found.steps)


def at_work_in(folder: Path) -> list[str]:
    """Return the command lines of processes that name a folder."""
    words = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    return [line for line in words if str(folder) in line]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Run checkpoint A of the demo on fewer genes and cells, with what it leaves to the number of cores."""
    from stagewright.stages.cohort.generate import generate_cohort  # noqa: PLC0415 - most tests need no such library

    root = tmp_path_factory.mktemp("demo").resolve()
    generate_cohort(root / "builtin_cohort.h5ad", n_patients=8, cells_per_patient=60, n_genes=300)
    spec = yaml.safe_load(demo_spec_text())
    spec["preprocess"] = [{"method": "hvg", "n_top_genes": 100}, {"method": "all_filtered", "min_cells_fraction": 0.01}]
    spec["reduction"] |= {"k": [3, 4]}
    workspace = Workspace(root=root)
    caller = Caller(client="tests")
    run_id = complete(call_tool(workspace, "plan_run", {"spec": spec}, caller)).run_id
    for number in range(3):
        complete(call_tool(workspace, "execute_stage", {"run_id": run_id, "wait_s": 300}, caller))
        complete(call_tool(workspace, "validate_stage", {"run_id": run_id}, caller))
        if number < 2:
            onwards = {"run_id": run_id, "decision": "continue", "rationale": "the gates passed"}
            complete(call_tool(workspace, "decide", onwards, caller))
    return workspace


@pytest.fixture(autouse=True)
def _nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep temporary roots where the test can see them, and expect none of them to stay unless one is named."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    yield
    assert not [path for path in scratch.iterdir() if path.name.startswith("stagewright-reproduce-")]
