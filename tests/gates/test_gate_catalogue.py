"""The catalogue: which gates there are, and which thresholds a spec may set."""

import subprocess
import sys

import pytest

from stagewright.gates.catalogue import GATES, gates_for, known_gates
from stagewright.gates.check_thresholds import check_thresholds


def test_every_gate_loads_and_carries_its_name() -> None:
    """The function has the gate's name, and its docstring says what it measures and why the threshold is so."""
    for entry in GATES:
        gate = entry.load()
        assert getattr(gate, "__name__", "") == entry.name
        assert "Notes\n" in (gate.__doc__ or "")
        assert all(bound.lowest <= bound.default <= bound.highest and bound.reason for bound in entry.bounds)


def test_names_are_unique_and_every_stage_has_gates() -> None:
    """No stage is without gates, commands of the operator included; integrity stands first."""
    assert len(set(known_gates())) == len(known_gates())
    for stage in ("plan0", "plan1a", "plan1b", "anything_else"):
        assert gates_for(stage)[0].name == "artifact_integrity"
        assert gates_for(stage)[-1].name == "budget"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"stabilty_floor": {"at_least": 0.5}}, "did you mean 'stability_floor'?"),
        ({"zzz": {"at_least": 0.5}}, "gates with bounds: duplicate_axes"),
        ({"stability_floor": {"at_most": 0.5}}, "gates.stability_floor.at_most: no such bound; allowed: at_least"),
        ({"stability_floor": {"at_least": 1.5}}, "gates.stability_floor.at_least: got 1.5; allowed"),
        ({"stability_floor": {"at_least": float("nan")}}, "got nan"),
        ({"stability_floor": {}}, "sets no bound"),
        ({"budget": {"at_most": 2.0}}, "has no bound to set"),
    ],
)
def test_a_wrong_threshold_is_named_with_what_is_allowed(given: dict[str, dict[str, float]], says: str) -> None:
    """Each fault is one line with its place and what may be written instead."""
    (fault,) = check_thresholds(given)
    assert says in fault


def test_right_thresholds_have_no_fault() -> None:
    """Every bound may be set to its own default."""
    given = {entry.name: {bound.name: bound.default for bound in entry.bounds} for entry in GATES if entry.bounds}
    assert check_thresholds({name: dict(bounds) for name, bounds in given.items()}) == []


def test_the_catalogue_imports_nothing_heavy() -> None:
    """The server reads the catalogue; it must start light."""
    heavy = "{'numpy', 'pandas', 'anndata', 'scipy', 'h5py', 'pyarrow', 'sklearn', 'scanpy'}"
    code = (
        "import sys, stagewright.gates.catalogue, stagewright.gates.verdict, stagewright.gates.__main__; "
        f"print(sorted({heavy} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
