"""The gates on the built-in cohort: each fault is caught by its own, a clean copy passes. The stages are real.

Three of them, because each fault costs a judgement: Plan 1A's and 1B's steps are spoilt in `tests/gates`.
"""

from collections import Counter
from typing import Any

import pytest

from stagewright.gates.__main__ import run_gates
from stagewright.gates.catalogue import gates_for
from stagewright.gates.protocol import EarlierAttempt
from stagewright.gates.proving.catalogue import FAULTS
from stagewright.gates.proving.protocol import JudgedStep, KnownFinding, ProvingQuestion, Trial
from stagewright.gates.proving.prove_steps import prove_steps
from stagewright.state.artifacts import read_outcome
from stagewright.state.spec import Adjustments, effective_study, parse_spec

pytestmark = pytest.mark.slow  # half a minute: each fault costs a judgement
Study = Any  # the fixture's class, which lives in conftest.py
SPEC: dict[str, Any] = {
    "objective": "test",
    "data": {
        "path": "cohort.h5ad",
        "patient": "patient",
        "label": {"column": "CN.label", "positive": "cancer", "negative": "normal"},
        "timepoint": {"column": "timepoint_type", "keep": ["Dx", "MRD"]},
    },
    "stages": ["plan0", "plan1c", "plan2"],
    "preprocess": [{"method": "all_filtered", "min_cells_fraction": 0.02}],
    "reduction": {"methods": ["pca", "nmf"], "k": [3, 4], "seeds": [1, 2]},
    "classifier": {"alphas": [0.1, 1.0], "modes": ["grouped", "per_patient"], "cv": {"folds": 3, "repeats": 2}},
    "negative_controls": {"permutations": 3, "seed": 11},
}
STEPS = ("B/plan0", "B/plan1c", "B/plan2")


@pytest.fixture(scope="module")
def trials(kept_study: Study, tmp_path_factory: pytest.TempPathFactory) -> tuple[Trial, ...]:
    """Execute the plans once, and prove their gates."""
    spec = parse_spec(SPEC)
    asked = []
    for step in STEPS:
        kept_study.execute(step, study=effective_study(spec, Adjustments(), "B"), scope=spec.data)
        asked.append(kept_study.question(step))
    listed = tuple(item.path for one in asked for item in read_outcome(kept_study.run, one.artifacts).artifacts)
    judged = []
    for number, one in enumerate(asked):
        earlier = tuple(
            EarlierAttempt(
                attempt=done.attempt,
                ended="executed",
                record=done.artifacts.outcome,
                record_sha256=done.artifacts.outcome_sha256,
            )
            for done in asked[:number]
        )
        question = one.model_copy(update={"sealed_elsewhere": listed, "earlier": earlier})
        findings = run_gates(question)
        assert all(finding.severity in ("pass", "warn") for finding in findings)
        recorded = tuple(
            KnownFinding(gate=finding.gate, subject=finding.subject, severity=finding.severity) for finding in findings
        )
        judged.append(JudgedStep(asked=question, recorded=recorded))
    scratch = tmp_path_factory.mktemp("scratch")
    return prove_steps(ProvingQuestion(scratch=str(scratch), progress=str(scratch / "progress"), steps=tuple(judged)))


def test_no_gate_is_blind_and_none_cries_wolf(trials: tuple[Trial, ...]) -> None:
    wrong = [
        (trial.step, trial.fault, trial.fired, trial.said) for trial in trials if trial.result in ("blind", "cried")
    ]
    assert wrong == []
    assert Counter(trial.result for trial in trials)["quiet"] == 2 * len(STEPS)


def test_every_gate_of_these_stages_has_caught_a_fault(trials: tuple[Trial, ...]) -> None:
    """So has every fault that one of these stages may have."""
    stages = {step.partition("/")[2] for step in STEPS}
    caught = {trial.gate for trial in trials if trial.result == "caught"}
    assert caught >= {gate.name for stage in stages for gate in gates_for(stage)}
    tried = {trial.fault for trial in trials if trial.result == "caught"}
    assert {entry.name for entry in FAULTS if not entry.stages or stages & {*entry.stages}} - tried == set()
