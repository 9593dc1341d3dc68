"""Whatever changes after the seal is found by `artifact_integrity`."""

import os
from collections.abc import Callable
from dataclasses import replace

import pytest

from stagewright.gates.__main__ import run_gates
from stagewright.gates.protocol import Finding, GateContext

StepOf = Callable[[str], GateContext]
Reseal = Callable[[GateContext], GateContext]
Spoil = Callable[[GateContext], GateContext]

GRID = "B/analysis/classification_grid/hvg_40"
CACHE = "B/analysis/preprocess_cache/hvg_40/adata_with_dr.h5ad"
STABILITY = "B/analysis/plan0/stability"
PAIRS = "pairwise_stability_summary.json"


def _bad(step: GateContext) -> list[Finding]:
    return [finding for finding in run_gates(step.asked) if finding.severity != "pass"]


def _flip_bit(step: GateContext) -> None:
    path = step.run / STABILITY / "nmf/k_3/replicates/seed_2/scores.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def _delete(step: GateContext) -> None:
    (step.run / STABILITY / "nmf/k_3/replicates/seed_2/scores.npy").unlink()


def _truncate(step: GateContext) -> None:
    path = step.run / "B/analysis/plan0/k_selection_summary.csv"
    path.write_bytes(path.read_bytes()[:-20])


def _add_file(step: GateContext) -> None:
    (step.run / "B/analysis/plan0/better_results.csv").write_text("auc\n1.0\n", encoding="utf-8")


def _link_file(step: GateContext) -> None:
    path = step.run / STABILITY / "nmf/k_3/replicates/seed_2/scores.npy"
    path.rename(step.run / "elsewhere.npy")
    path.symlink_to(step.run / "elsewhere.npy")


def _link_folder(step: GateContext) -> None:
    path = step.run / "B/analysis/plan0"
    path.rename(step.run / "elsewhere")
    path.symlink_to(step.run / "elsewhere")


def _link_unseen_folder(step: GateContext) -> None:
    (step.run / "elsewhere").mkdir()
    (step.run / "B/analysis/more").symlink_to(step.run / "elsewhere")


def _edit_outcome(step: GateContext) -> None:
    path = step.run / step.asked.artifacts.outcome
    path.write_text(
        path.read_text(encoding="utf-8").replace('"nmf":3', '"nmf":5').replace(": 3", ": 5"), encoding="utf-8"
    )


def _edit_request(step: GateContext) -> None:
    path = step.run / step.asked.request
    path.write_text(path.read_text(encoding="utf-8").replace("0.1,1.0,10.0", "0.1,1.0"), encoding="utf-8")


def _lose_outcome(step: GateContext) -> None:
    (step.run / step.asked.artifacts.outcome).unlink()


@pytest.mark.parametrize(
    "tamper",
    [
        _flip_bit,
        _delete,
        _truncate,
        _add_file,
        _link_file,
        _link_folder,
        _link_unseen_folder,
        _edit_outcome,
        _edit_request,
        _lose_outcome,
    ],
)
def test_whatever_changes_after_the_seal_fails_integrity(
    tamper: Callable[[GateContext], None], step_of: StepOf
) -> None:
    """A bit, a file more or less, a link, an edited listing: integrity fails, and no gate judges what is left."""
    step = step_of("plan0")
    tamper(step)
    found = _bad(step)
    assert found
    assert {(finding.gate, finding.severity) for finding in found} == {("artifact_integrity", "fail")}


def test_a_file_that_another_step_sealed_is_not_undeclared(step_of: StepOf) -> None:
    """`sealed_elsewhere` names the other steps' files of the checkpoint."""
    step = step_of("plan0")
    (step.run / "B/analysis/other.json").write_text("{}", encoding="utf-8")
    assert _bad(step)
    asked = step.asked.model_copy(update={"sealed_elsewhere": ("B/analysis/other.json",)})
    assert {finding.severity for finding in run_gates(asked)} == {"pass"}


def test_an_earlier_step_whose_files_changed_fails_the_step_that_reads_them(step_of: StepOf, reseal: Reseal) -> None:
    """What a step was computed from has to be what was sealed, too."""
    earlier = step_of("my_command")
    step = step_of("plan0")
    os.renames(earlier.run / "attempts/0001_A_my_command", step.run / "attempts/0002_A_my_command")
    answer = "B/analysis/my_command/answer.json"
    os.renames(earlier.run / answer, step.run / answer)
    upstream = earlier.asked.artifacts.model_copy(update={"outcome": "attempts/0002_A_my_command/outcome.json"})
    request = step.request.model_copy(update={"upstream": {"B/my_command": upstream}})
    step = reseal(replace(step, request=request))
    asked = step.asked.model_copy(update={"sealed_elsewhere": (answer,)})
    assert {finding.severity for finding in run_gates(asked)} == {"pass"}
    (step.run / answer).write_text('{\n  "answer": 43\n}\n', encoding="utf-8")
    found = [finding for finding in run_gates(asked) if finding.severity != "pass"]
    assert [(finding.gate, finding.subject) for finding in found] == [("artifact_integrity", answer)]
