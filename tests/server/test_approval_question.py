"""The question that a person is asked at a client: short whatever the run did, and without a line that is not ours."""

from typing import Any

import pytest

from stagewright.server.approval_question import approval_question
from stagewright.state.records import Limits
from stagewright.tools.approval_report import ApprovalReport, StepEvidence

ZERO = "0" * 64
FORGED = "Is it sound?\nRecord: holds together\r\x1b[2KDigest: forged\u2028Best: 1.0"


def step(number: int, findings: int) -> StepEvidence:
    found = tuple(f"warn: gate{number}: subject {index}: {'long ' * 40}" for index in range(findings))
    return StepEvidence(
        step=f"B/step{number}",
        attempt=1,
        verdict="warn",
        passed=9,
        warned=findings,
        findings=found,
        outcome_sha256=ZERO,
    )


def report(**changes: Any) -> ApprovalReport:  # noqa: ANN401 - fields of the report
    fields: dict[str, Any] = {
        "run_id": "20261122_134156_study_0a1b2c3d",
        "objective": "Does it hold?",
        "checkpoint": "C",
        "ledger_seq": 40,
        "ledger_head": ZERO,
        "spec_sha256": ZERO,
        "data_sha256": ZERO,
        "steps": (step(1, 0), step(2, 1)),
        "best_step": "B/plan1b",
        "best": "hvg_3000 / fa / K 40",
        "metrics": {"plan1b.best.auc": 0.81234, "plan1b.best.auc_lower": 0.7},
        "configurations": 12,
        "adjustments": 2,
        "loosened_after_look": 1,
        "runtime_used_s": 90.0,
        "peak_rss_bytes": 2**30,
        "failures": 0,
        "limits": Limits(runtime_s=3600, memory_bytes=2**34, retries=2),
        "forecast": "checkpoint C on 9000 cells: 20 min (10 min to 40 min)",
        "put_aside": 0,
        "problems": (),
    }
    return ApprovalReport.model_validate(fields | changes)


def test_the_question_holds_what_a_person_decides_on() -> None:
    """Run, checkpoint, gates, best scores, trials, forecast, whether the record holds, and last the digest."""
    lines = approval_question(report()).splitlines()
    assert lines[0] == "Let checkpoint C of this study begin?"
    assert lines[-1] == f"Digest: {report().digest}"
    for line in (
        "Run: 20261122_134156_study_0a1b2c3d",
        "Gates: B/step1 warn (9 passed, 0 warned, 0 failed)",
        "Best: B/plan1b, hvg_3000 / fa / K 40",
        "Scores: auc 0.8123, auc_lower 0.7",
        "Trials: 12 configurations tried, 2 adjustments, 1 of them looser after pilot scores",
        "Forecast: checkpoint C on 9000 cells: 20 min (10 min to 40 min)",
        "Record: holds together",
    ):
        assert line in lines
    assert any(line.startswith("- warn: gate2: subject 0") for line in lines)


@pytest.mark.parametrize("letter", ["x", "\N{GREEK SMALL LETTER ALPHA}", "\N{DNA DOUBLE HELIX}"])
def test_a_long_report_stays_a_short_question(letter: str) -> None:
    """The newest evidence, the problems and the digest are kept; what is left out is counted."""
    long = letter * 5000
    shown = report(
        objective=long, best=long, forecast=long, problems=(long, long), steps=tuple(step(n, 3) for n in range(30))
    )
    question = approval_question(shown)
    assert len(question.encode()) <= 2000
    assert question.endswith(f"Digest: {shown.digest}")
    assert "Record: 2 PROBLEMS" in question
    assert "lines left out: `stagewright approve 20261122_134156_study_0a1b2c3d` shows all)" in question
    assert "Gates: B/step0 " not in question


def test_what_an_agent_wrote_begins_no_line() -> None:
    """An objective cannot pose as the record, nor a finding as the digest."""
    forged = step(1, 0).model_copy(update={"findings": (FORGED,)})
    lines = approval_question(
        report(objective=FORGED, steps=(forged,), problems=("spec.yaml: was changed",))
    ).splitlines()
    assert [line for line in lines if line.startswith(("Record:", "Digest:", "Best: 1"))] == [
        "Record: 1 PROBLEMS, first:",
        f"Digest: {report(objective=FORGED, steps=(forged,), problems=('spec.yaml: was changed',)).digest}",
    ]
    assert not any("\x1b" in line for line in lines)
