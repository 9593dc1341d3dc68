"""The catalogue of faults: each can be made, and each gate has one."""

import subprocess
import sys

import pytest

from stagewright.gates.catalogue import GATES
from stagewright.gates.proving.catalogue import FAULTS, unproven_gates
from stagewright.gates.proving.fault_entry import FaultEntry

STAGES = {"plan0", "plan1a", "plan1b", "plan1c", "plan2"}
UNPROVEN: tuple[str, ...] = ()
"""Gates that no fault can provoke yet, each with a comment that says why. Keep it short."""


def test_every_gate_has_a_fault_but_for_those_named_here() -> None:
    """A new gate comes with a fault that provokes it, or is named in `UNPROVEN` with its reason."""
    assert unproven_gates() == UNPROVEN


def test_there_are_enough_faults_and_no_two_share_a_name() -> None:
    assert len({entry.name for entry in FAULTS}) == len(FAULTS) >= 25


@pytest.mark.parametrize("entry", FAULTS, ids=lambda entry: entry.name)
def test_each_fault_can_be_made_where_its_gate_judges(entry: FaultEntry) -> None:
    """Its function exists and says what it does; the gate judges every stage in which the fault is tried."""
    assert (entry.load().__doc__ or "").endswith(".")
    gate = next(gate for gate in GATES if gate.name == entry.gate)
    assert {*entry.stages} <= STAGES
    assert not gate.stages or {*gate.stages} >= {*entry.stages} != set()
    assert len(entry.name) < 38, "the matrix has a column of that width"


def test_the_catalogue_imports_nothing_heavy() -> None:
    """The tools and the command line read it; they must start light."""
    heavy = "{'numpy', 'pandas', 'anndata', 'scipy', 'h5py', 'pyarrow', 'sklearn', 'scanpy'}"
    code = (
        "import sys, stagewright.gates.proving.__main__, stagewright.tools.prove_gates, "
        f"stagewright.server.cli.prove_gates; print(sorted({heavy} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
