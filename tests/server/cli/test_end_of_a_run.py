"""What `stagewright run` says before it starts and when it has ended."""

import json
from pathlib import Path
from typing import Any

import pytest

from stagewright.server.cli import main
from stagewright.server.cli.criteria import JudgedCriterion
from stagewright.state.ledger import Ledger
from stagewright.state.run_directory import list_runs
from stagewright.state.spec.goal import Criterion


def study(root: Path, stage: str, more: str = "") -> str:
    spec = root / "spec.yaml"
    spec.write_text(spec.read_text().replace("[noop]", f"[{stage}]") + more)
    return str(spec)


def test_the_criteria_stand_with_what_was_measured(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Success criteria that hold or not, failure criteria that were met or not, and what was never measured."""
    stop = (
        "stop:\n  success: [{metric: measured.recall, at_least: 0.2}, {metric: measured.recall, above: 0.9}, "
        "{metric: measured.precision, above: 0}]\n  failure: [{metric: measured.recall, below: 0.1}]\n"
    )
    spec = study(root, "measured", stop)
    assert main(["run", spec, "--root", str(root)]) == 0
    shown = capsys.readouterr().out
    assert "Success    held: measured.recall >= 0.2 (0.25 at C)" in shown
    assert "Success    not met: measured.recall > 0.9 (0.25 at C)" in shown
    assert "Success    not measured yet: measured.precision > 0" in shown
    assert "Failure    not met: measured.recall < 0.1 (0.25 at C)" in shown
    assert main(["run", spec, "--root", str(root), "--json"]) == 0
    summary: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert [item["holds"] for item in summary["criteria"]["success"]] == [True, False, None]
    assert summary["criteria"]["failure"] == [
        {"criterion": "measured.recall < 0.1", "holds": False, "value": 0.25, "checkpoint": "C"}
    ]


def test_commands_show_their_own_metrics(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A study of commands scored no configuration: what the commands measured is shown instead."""
    assert main(["run", study(root, "measured"), "--root", str(root)]) == 0
    shown = capsys.readouterr().out
    assert "Metrics    C/measured: measured.recall = 0.25" in shown
    assert "no configuration was scored" not in shown


def test_nothing_measured_is_neither_held_nor_missed() -> None:
    """A criterion without a measurement is not judged."""
    assert JudgedCriterion(Criterion(metric="a.b", below=1.0), None, None).holds is None


def test_an_unfinished_run_of_the_spec_is_named(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before a new run is started; not for a run of another spec, nor for one in which nothing was done yet."""
    spec = study(root, "noop")
    at = ("--root", str(root))
    assert main(["plan", spec, *at]) == 0
    (begun,) = list_runs(root)
    assert main(["execute", begun.run_id, *at]) == 0
    other = root / "other.yaml"
    other.write_text((root / "spec.yaml").read_text().replace("Does the loop run?", "Another question?"))
    capsys.readouterr()
    assert main(["run", str(other), *at]) == 0
    assert "unfinished" not in capsys.readouterr().err
    assert main(["run", spec, *at]) == 0
    said = capsys.readouterr().err
    assert f"1 unfinished run of this spec: {begun.run_id}; --resume-from-state takes it up\n" in said
    assert Ledger(begun).fold().status == "executed"


def test_a_forged_snapshot_moves_nothing(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Resuming believes the ledger: a RUN_STATE.json that says completed does not end an unfinished run."""
    spec = study(root, "noop")
    at = ("--root", str(root))
    assert main(["plan", spec, *at]) == 0
    (run,) = list_runs(root)
    assert main(["execute", run.run_id, *at]) == 0
    run.snapshot.write_text(run.snapshot.read_text().replace('"executed"', '"completed"'))
    assert main(["run", spec, *at, "--resume-from-state"]) == 0
    assert f"Taking up {run.run_id}: A/noop is executed." in capsys.readouterr().out
    assert Ledger(run).fold().status == "completed"
