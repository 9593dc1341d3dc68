"""Spoilt copies of small steps: each fault is caught by its own gate; a gate that is blind or cries wolf shows."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stagewright.gates import duplicate_axes, embedding
from stagewright.gates.__main__ import run_gates
from stagewright.gates.protocol import Finding, GateContext
from stagewright.gates.proving import prove_steps as prove_steps_module
from stagewright.gates.proving.catalogue import faults_of
from stagewright.gates.proving.fault_entry import FaultEntry
from stagewright.gates.proving.protocol import JudgedStep, KnownFinding, ProvingQuestion, Trial
from stagewright.gates.proving.prove_steps import prove_steps
from stagewright.state.canonical import digest_file

StepOf = Callable[[str], GateContext]
WITHOUT = {
    "file of an earlier step edited": "first step of its checkpoint",
    "reused result, not in its record": "no attempt before",
    "reused result that nobody made": "records no units",
    "leaked test patient": "no model of this step has grouped folds",
    "genes of a fold selected on all cells": "genes are selected once",
    "table never written": "owes no table",
    "table without a column": "owes no table",
    "table cut short by the stage": "owes no table",
    "file replaced by another": "no two different files",
}
"""What these steps do not have."""
IN_TURN = ("plan1a", "plan0", "plan1b")


def _prove(step: GateContext, scratch: Path) -> tuple[Trial, ...]:
    recorded = tuple(
        KnownFinding(gate=finding.gate, subject=finding.subject, severity=finding.severity)
        for finding in run_gates(step.asked)
    )
    return _proved(step, recorded, scratch)


def _proved(step: GateContext, recorded: tuple[KnownFinding, ...], scratch: Path) -> tuple[Trial, ...]:
    scratch.mkdir(exist_ok=True)
    judged = JudgedStep(asked=step.asked, recorded=recorded)
    return prove_steps(ProvingQuestion(scratch=str(scratch), progress=str(scratch / "progress"), steps=(judged,)))


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that leaves but some faults in the catalogue: each costs a judgement of the step."""

    def left(*names: str) -> None:
        def of_stage(stage: str) -> tuple[FaultEntry, ...]:
            return tuple(entry for entry in faults_of(stage) if not names or entry.name in names)

        monkeypatch.setattr(prove_steps_module, "anywhere", tuple)
        monkeypatch.setattr(prove_steps_module, "faults_of", of_stage)

    return left


@pytest.mark.parametrize("stage", [*IN_TURN[:-1], pytest.param(IN_TURN[-1], marks=pytest.mark.slow)])
def test_each_fault_of_a_stage_is_caught_by_its_own_gate(
    stage: str, step_of: StepOf, only: Callable[..., None], tmp_path: Path
) -> None:
    """The clean and the rewritten copy are judged as the step was, and most faults fire their own gate alone.

    A fault is one fault: predictions are scored again, summaries agree with their replicates. Each is tried in the
    first of these stages that it belongs to.
    """
    before = {entry.name for earlier in IN_TURN[: IN_TURN.index(stage)] for entry in faults_of(earlier)}
    only(*(entry.name for entry in faults_of(stage) if entry.name not in before))
    trials = _prove(step_of(stage), tmp_path / "scratch")
    _check(trials)
    caught = [trial for trial in trials if trial.result == "caught"]
    assert sum(trial.fired.keys() == {trial.gate} for trial in caught) >= 0.8 * len(caught)


def test_each_fault_of_any_stage_is_caught_and_the_step_stays(step_of: StepOf, tmp_path: Path) -> None:
    """A command of the operator may have them; not a byte of the step changes, and no copy is left."""
    step = step_of("my_command")
    before = {path: digest_file(path) for path in step.run.rglob("*") if path.is_file()}
    _check(_prove(step, tmp_path / "scratch"))
    assert {path: digest_file(path) for path in step.run.rglob("*") if path.is_file()} == before
    assert [path.name for path in (tmp_path / "scratch").rglob("*") if path.is_file()] == ["progress"]


def _check(trials: tuple[Trial, ...]) -> None:
    assert [trial for trial in trials if trial.result in {"blind", "cried"}] == []
    assert Counter(trial.result for trial in trials)["quiet"] == 2
    for trial in trials:
        if trial.result == "not_applicable":
            assert WITHOUT[trial.fault] in trial.said


def test_a_blind_gate_shows(
    step_of: StepOf, only: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gate that passes whatever it is given is named for the fault that it did not see, and for no other."""

    def blind(context: GateContext) -> Iterator[Finding]:
        yield Finding(
            gate="duplicate_axes", subject=context.asked.step, severity="pass", measured="", threshold="", reason=""
        )

    monkeypatch.setattr(duplicate_axes, "duplicate_axes", blind)
    only("duplicated axis", "rank collapse")
    trials = _prove(step_of("plan0"), tmp_path / "scratch")
    assert [(trial.fault, trial.gate) for trial in trials if trial.result == "blind"] == [
        ("duplicated axis", "duplicate_axes")
    ]


def test_a_gate_that_cries_wolf_shows(step_of: StepOf, only: Callable[..., None], tmp_path: Path) -> None:
    """What a gate finds on a clean copy and did not find when the step was judged is a control that failed."""
    only("none")
    step = step_of("my_command")
    recorded = tuple(
        KnownFinding(gate=finding.gate, subject=finding.subject, severity=finding.severity)
        for finding in run_gates(step.asked)
    )
    other = recorded[0].model_copy(update={"severity": "warn"})
    trials = _proved(step, (other, *recorded[1:]), tmp_path / "scratch")
    cried = [trial for trial in trials if trial.result == "cried"]
    assert [(trial.fault, [*trial.fired]) for trial in cried] == [("clean copy", [other.gate])]
    assert f"{other.gate}: {other.subject}: pass here, not in the record" in cried[0].said


def test_a_gate_that_depends_on_how_a_file_was_written_shows(
    step_of: StepOf, only: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The A/A copy has the same results in files that were written again: a gate that finds something there cries."""
    seen: set[str] = set()
    honest = embedding.embedding

    def moody(context: GateContext) -> Iterator[Finding]:
        yield from honest(context)
        if "spoilt" in context.asked.run and not seen:
            seen.add(context.asked.run)
            yield Finding(gate="embedding", subject="mood", severity="warn", measured="", threshold="", reason="")

    monkeypatch.setattr(embedding, "embedding", moody)
    only("none")
    trials = _prove(step_of("plan1a"), tmp_path / "scratch")
    assert [(trial.fault, trial.fired) for trial in trials if trial.result == "cried"] == [
        ("A/A copy", {"embedding": "warn"})
    ]
