"""The page of the gates says what the catalogue says."""

from pathlib import Path

import pytest

from stagewright.gates.catalogue import GATES
from stagewright.gates.gate_entry import GateEntry

PAGE = Path(__file__).parents[2] / "docs" / "gates.md"


@pytest.mark.parametrize("gate", GATES, ids=lambda gate: gate.name)
def test_each_gate_stands_with_its_bound(gate: GateEntry) -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith(f"| `{gate.name}` ")]
    assert len(rows) == max(1, len(gate.bounds))
    assert all(gate.purpose in row for row in rows)
    for bound in gate.bounds:
        assert any(f"| `{bound.name}` | {bound.default:g} | {bound.of} |" in row for row in rows)
