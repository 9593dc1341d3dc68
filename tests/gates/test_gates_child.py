"""The gates' child process: what it writes, how it exits, what it leaves alone."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stagewright.gates import budget
from stagewright.gates.__main__ import main, run_gates
from stagewright.gates.catalogue import gates_for
from stagewright.gates.protocol import Finding, GateContext, GateReport
from stagewright.gates.verdict import tally

StepOf = Callable[[str], GateContext]


def _tree(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def _ask(step: GateContext, folder: Path) -> tuple[Path, Path]:
    request, report = folder / "request.json", folder / "report.json"
    request.write_text(step.asked.model_dump_json(), encoding="utf-8")
    return request, report


def test_the_child_judges_and_changes_nothing(step_of: StepOf, tmp_path: Path) -> None:
    """Started as the server starts it, it exits with 0, writes the report, and leaves the run directory as it was."""
    step = step_of("plan0")
    request, report = _ask(step, tmp_path)
    before = _tree(step.run)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "stagewright.gates", str(request), str(report)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    answer = GateReport.model_validate_json(report.read_bytes())
    assert tally(answer.findings, n_gates=len(gates_for("plan0")))[0] == "pass"
    assert answer.elapsed_s > 0
    assert _tree(step.run) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plan0", "report.json", "request.json"]


def test_a_failed_step_is_judged_all_the_same(step_of: StepOf, tmp_path: Path) -> None:
    """The exit status says whether it could judge, not what it found."""
    step = step_of("my_command")
    (step.run / "B/analysis/my_command/answer.json").unlink()
    request, report = _ask(step, tmp_path)
    assert main([str(request), str(report)]) == 0
    findings = GateReport.model_validate_json(report.read_bytes()).findings
    assert {finding.severity for finding in findings} == {"fail", "pass"}


@pytest.mark.parametrize("content", [None, "{", '{"run": "x"}'])
def test_an_unreadable_question_has_no_answer(
    content: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a request nothing can be judged: status 2, and no report that could be taken for one."""
    request = tmp_path / "request.json"
    if content is not None:
        request.write_text(content, encoding="utf-8")
    assert main([str(request), str(tmp_path / "report.json")]) == 2
    assert "could not be judged" in capsys.readouterr().err
    assert not (tmp_path / "report.json").exists()


def test_too_few_arguments_show_the_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """The child says how it is called."""
    assert main(["only.json"]) == 2
    assert capsys.readouterr().err.startswith("usage:")


def test_a_gate_that_crashes_is_an_error_not_a_pass(
    step_of: StepOf, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it found before stands, its exception is an error finding, the traceback goes to stderr."""

    def crash(_: GateContext) -> Iterator[Finding]:
        yield Finding(gate="budget", subject="x", severity="pass", measured="1", threshold="2", reason="so")
        raise ZeroDivisionError("no cells")

    monkeypatch.setattr(budget, "budget", crash)
    findings = run_gates(step_of("my_command").asked)
    mine = [finding for finding in findings if finding.gate == "budget"]
    assert [finding.severity for finding in mine] == ["pass", "error"]
    assert mine[1].measured == "ZeroDivisionError: no cells"
    assert "in crash" in capsys.readouterr().err
    assert tally(findings, n_gates=3)[0] == "error"


def test_a_gate_that_finds_nothing_is_an_error(step_of: StepOf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence is not consent."""
    monkeypatch.setattr(budget, "budget", lambda _: iter(()))
    mine = [finding for finding in run_gates(step_of("my_command").asked) if finding.gate == "budget"]
    assert [(finding.severity, finding.measured) for finding in mine] == [("error", "nothing to measure")]


def test_a_report_about_another_step_is_an_error(step_of: StepOf) -> None:
    """The request and the outcome have to be those of the step that is judged."""
    asked = step_of("my_command").asked.model_copy(update={"step": "B/plan0"})
    assert [finding.severity for finding in run_gates(asked)] == ["error"]
