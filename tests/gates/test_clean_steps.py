"""Valid steps pass every gate."""

from collections.abc import Callable

import pytest

from stagewright.gates.__main__ import run_gates
from stagewright.gates.catalogue import gates_for
from stagewright.gates.protocol import GateContext
from stagewright.gates.verdict import tally

Reseal = Callable[[GateContext], GateContext]


@pytest.mark.parametrize("stage", ["plan0", "plan1a", "plan1b", "my_command"])
def test_a_valid_step_passes_every_gate(stage: str, step_of: Callable[[str], GateContext]) -> None:
    """Each gate of the stage is heard, and each of its findings is a pass."""
    findings = run_gates(step_of(stage).asked)
    assert [finding for finding in findings if finding.severity != "pass"] == []
    assert list(dict.fromkeys(finding.gate for finding in findings)) == [entry.name for entry in gates_for(stage)]
    verdict, counted = tally(findings, n_gates=len(gates_for(stage)))
    assert (verdict, counted.worst, counted.would_pass) == ("pass", (), None)


@pytest.mark.parametrize("stage", ["plan0", "plan1b"])
def test_a_step_that_is_sealed_again_unchanged_still_passes(
    stage: str, step_of: Callable[[str], GateContext], reseal: Reseal
) -> None:
    """The way in which the other tests make a fault is not itself a fault."""
    assert {finding.severity for finding in run_gates(reseal(step_of(stage)).asked)} == {"pass"}
