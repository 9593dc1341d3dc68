"""`stagewright run` drives the loop by the default policy, and takes up where it stopped."""

import json
import signal
import subprocess
import sys
import time
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from stagewright.server.cli import main
from stagewright.server.cli.demo import demo_spec_text
from stagewright.server.cli.drive_loop import drive_loop
from stagewright.state.ledger import Ledger
from stagewright.state.run_directory import RunDirectory, list_runs
from stagewright.state.spec import parse_spec
from stagewright.tools.approval_report import approval_report
from stagewright.tools.replies import Reply

ROOT = Path(__file__).resolve().parents[3]


def only_run(root: Path) -> RunDirectory:
    (run,) = list_runs(root)
    return run


def rewrite(root: Path, stages: str, more: str = "") -> str:
    """Change the stages of the root's spec, add keys to it, and return its path."""
    spec = root / "spec.yaml"
    spec.write_text(spec.read_text().replace("[noop]", f"[{stages}]") + more)
    return str(spec)


def test_a_run_goes_from_a_to_c(finished_root: Path) -> None:
    """Every step was executed once, validated and continued, with a rationale."""
    run = only_run(finished_root)
    state = Ledger(run).fold()
    assert state.status == "completed"
    assert {step: sealed.verdict for step, sealed in state.sealed.items()} == {
        "A/noop": "pass",
        "B/noop": "pass",
        "C/noop": "pass",
    }
    decisions = list(Ledger(run).detail("decision").entries())
    assert [entry["decision"] for entry in decisions] == ["continue"] * 3
    assert all(str(entry["rationale"]).startswith("Default policy") for entry in decisions)


def test_lines_for_people(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each step with verdict, time and memory, then verdicts and places."""
    spec = str(root / "spec.yaml")
    assert main(["run", spec, "--root", str(root)]) == 0
    shown = capsys.readouterr().out
    steps = [line.split() for line in shown.splitlines() if line.startswith(("A/", "B/", "C/"))]
    assert [words[:2] for words in steps] == [["A/noop", "pass"], ["B/noop", "pass"], ["C/noop", "pass"]]
    assert all("MiB" in words for words in steps)
    run = only_run(root)
    assert f"Logs       {run.path / 'logs'}" in shown
    assert f"Results    {run.path / 'C' / 'analysis'}" in shown


def test_a_blocked_step_gets_its_first_proposal_once(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first proposal is applied; when the step blocks again the run stays blocked, also in a later call."""
    spec = rewrite(root, "broken")
    assert main(["run", spec, "--root", str(root)]) == 4
    assert "blocked" in capsys.readouterr().out
    run = only_run(root)
    events = [entry["event"] for entry in Ledger(run).log.entries()]
    assert events.count("decided") == 1
    assert events.count("attempt_started") == 2
    assert main(["run", spec, "--root", str(root), "--resume-from-state"]) == 4
    assert [entry["event"] for entry in Ledger(run).log.entries()] == events


def test_a_met_failure_criterion_stops_the_run(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From checkpoint B on, a run whose failure criterion is met is stopped, and the command leaves with 1."""
    spec = rewrite(root, "scored", "stop: {failure: [{metric: scored.best.auc, below: 0.55}]}\n")
    assert main(["run", spec, "--root", str(root)]) == 1
    shown = capsys.readouterr().out
    assert "failure criterion met" in shown
    assert "Failure    met: scored.best.auc < 0.55 (0.5 at B): the run was stopped" in shown
    state = Ledger(only_run(root)).fold()
    assert (state.status, state.step) == ("stopped", "B/scored")


def test_a_failed_verdict_leaves_the_run_as_it_is(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A fail verdict is for somebody to think about: status 1, nothing decided; --json says all of it in one object."""
    spec = str(root / "spec.yaml")
    assert main(["plan", spec, "--root", str(root)]) == 0
    run = only_run(root)
    assert main(["execute", run.run_id, "--root", str(root)]) == 0
    (run.path / "A" / "analysis" / "noop" / "result.txt").write_text("forged")
    for _ in range(2):
        capsys.readouterr()
        assert main(["run", spec, "--root", str(root), "--resume-from-state", "--json"]) == 1
        summary: dict[str, Any] = json.loads(capsys.readouterr().out)
        assert (summary["status"], summary["step"], summary["exit_status"]) == ("validated", "A/noop", 1)
        assert summary["verdicts"]["A/noop"]["verdict"] == "fail"
    assert list(Ledger(run).detail("decision").entries()) == []


@pytest.mark.slow
def test_resuming_takes_up_the_same_spec_only(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An unfinished run of the same spec and data is taken up; of a changed spec it is refused with what differs."""
    spec = root / "spec.yaml"
    assert main(["plan", str(spec), "--root", str(root)]) == 0
    run = only_run(root)
    assert main(["execute", run.run_id, "--root", str(root)]) == 0
    assert main(["validate", run.run_id, "--root", str(root)]) == 0
    spec.write_text("# a comment changes nothing\n" + spec.read_text())
    capsys.readouterr()
    assert main(["run", str(spec), "--root", str(root), "--resume-from-state"]) == 0
    assert f"Taking up {run.run_id}: A/noop is validated" in capsys.readouterr().out
    assert len(list(list_runs(root))) == 1

    assert main(["plan", str(spec), "--root", str(root)]) == 0
    changed = root / "changed.yaml"
    changed.write_text(spec.read_text() + "reduction: {k: [5, 10]}\n")
    capsys.readouterr()
    for also in ([], ["--dry-run"]):
        assert main(["run", str(changed), "--root", str(root), "--resume-from-state", *also]) == 3
        said = " ".join(capsys.readouterr().err.split())
        assert "was changed since the unfinished run" in said
        assert "reduction.k: [20, 40, 60] -> [5, 10]" in said
        assert f"stagewright run {changed}" in said
    assert len(list(list_runs(root))) == 2


@pytest.mark.slow
def test_another_study_on_the_same_data_is_started(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The unfinished run of another objective is named, with what differs, and stays as it is."""
    assert main(["plan", str(root / "spec.yaml"), "--root", str(root)]) == 0
    other = root / "other.yaml"
    other.write_text((root / "spec.yaml").read_text().replace("Does the loop run?", "Does another?"))
    assert main(["run", str(other), "--root", str(root), "--resume-from-state"]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "it is of another spec" in said
    assert "objective: Does the loop run? -> Does another?" in said
    assert [Ledger(run).fold().status for run in list_runs(root)] == ["completed", "planned"]


def test_a_dry_run_says_what_would_happen(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Which run would be taken up, where, and what is left of it; nothing is done."""
    spec = str(root / "spec.yaml")
    words = ["run", spec, "--root", str(root), "--resume-from-state", "--dry-run"]
    assert main(words) == 0
    assert "No run was made (dry run)" in capsys.readouterr().out
    assert list(list_runs(root)) == []
    assert main(["plan", spec, "--root", str(root)]) == 0
    run = only_run(root)
    assert main(["execute", run.run_id, "--root", str(root)]) == 0
    ledger, _ = run.log("agent_run").read_bytes(), capsys.readouterr()
    assert main(words) == 0
    said = capsys.readouterr().out
    assert f"Would take up {run.run_id}" in said
    assert "Steps left: A/noop, B/noop, C/noop" in said
    assert f"stagewright validate {run.run_id}" in said
    assert main([*words, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["takes_up"], facts["status"], facts["next"]["tool"]) == (run.run_id, "executed", "validate_stage")
    assert run.log("agent_run").read_bytes() == ledger


def test_a_waiting_checkpoint_leaves_with_4(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A loop does not approve: it says how a person does, and goes on after that."""
    spec = rewrite(root, "noop", "approvals: [B]\n")
    assert main(["run", spec, "--root", str(root)]) == 4
    run = only_run(root)
    assert f'approve {run.run_id} --reason "..." --root {root}' in capsys.readouterr().out
    digest = approval_report(Ledger(run), Ledger(run).read()).digest
    assert main(["approve", run.run_id, "--reason", "seen", "--digest", digest, "--root", str(root)]) == 0
    assert main(["run", spec, "--root", str(root), "--resume-from-state"]) == 0


def _as_at_a_terminal() -> None:
    """Let Ctrl-C through: a shell that started the tests in the background has them ignore it, and children inherit."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_ends_the_wait_and_not_the_stage(root: Path) -> None:
    """Interrupted in a wait, the command says that the stage goes on and how to attach, and leaves with 130."""
    spec = rewrite(root, "slow")
    process = subprocess.Popen(
        [sys.executable, "-m", "stagewright.server", "run", spec, "--root", str(root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_as_at_a_terminal,  # noqa: PLW1509 - no other thread runs in these tests
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        runs = list(list_runs(root))
        if runs and Ledger(runs[0]).read().status == "running":
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "--resume-from-state" in said
    assert "Traceback" not in said
    run = only_run(root)
    assert Ledger(run).read().status == "running"
    assert main(["decide", run.run_id, "stop", "--rationale", "the test is over", "--root", str(root)]) == 0
    while time.monotonic() < deadline and Ledger(run).fold().failures == 0:
        if list(Ledger(run).log.entries())[-1]["event"] == "attempt_finished":
            break
        time.sleep(0.1)
    assert list(Ledger(run).log.entries())[-1]["outcome"] == "cancelled"


def test_the_loop_ends_where_somebody_is_needed(finished_root: Path) -> None:
    """The loop itself is a plain function: on a finished run it calls nothing and returns the state."""
    run = only_run(finished_root)

    def call(tool: str, arguments: object) -> Reply:
        raise AssertionError(f"{tool} was called with {arguments}")

    assert drive_loop(Ledger(run), call).status == "completed"


def test_the_demo_spec_is_the_example() -> None:
    """The spec that `demo` writes is valid, ships in the package, and is the one in examples/."""
    text = demo_spec_text()
    assert parse_spec(text).stages == ("plan0", "plan1a", "plan1b")
    assert files("stagewright.server.cli").joinpath("demo_spec.yaml").is_file()
    assert (ROOT / "examples" / "builtin_cohort.yaml").read_text() == text


def test_an_edited_spec_is_refused_whatever_was_planned_since(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A newer unfinished run of another study on the same data does not hide that the goal posts were moved."""
    spec, other = root / "spec.yaml", root / "other.yaml"
    assert main(["plan", str(spec), "--root", str(root)]) == 0
    other.write_text(spec.read_text().replace("Does the loop run?", "Does another?"))
    assert main(["plan", str(other), "--root", str(root)]) == 0
    spec.write_text(spec.read_text() + "stop: {success: [{metric: noop.best, at_least: 0.6}]}\n")
    capsys.readouterr()
    assert main(["run", str(spec), "--root", str(root), "--resume-from-state", "--dry-run"]) == 3
    assert "stop.success" in capsys.readouterr().err
    assert len(list(list_runs(root))) == 2


def test_a_dry_resume_refuses_what_the_real_one_would(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The run's own spec.yaml was changed; the next call that is named is not the one that was refused."""
    spec = str(root / "spec.yaml")
    assert main(["plan", spec, "--root", str(root)]) == 0
    sealed = only_run(root).spec
    sealed.write_text(sealed.read_text().replace("patient: patient", "patient: label"))
    capsys.readouterr()
    for also in ([], ["--dry-run"]):
        assert main(["run", spec, "--root", str(root), "--resume-from-state", *also]) == 3
        said = capsys.readouterr().err
        assert "data.patient: patient -> label" in said
        assert "plans the changed spec as a new run" in said
