"""run_manifest.yaml: complete at the start, and up to the present after each attempt, verdict and decision."""

import json
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import pytest
import yaml

from stagewright.state import machine
from stagewright.state.packages import own_code_digest
from stagewright.state.run_directory import RunDirectory
from stagewright.tools import Workspace
from stagewright.tools.verify_run import verify_run

Call = Callable[..., dict[str, Any]]
Plan = Callable[..., str]

CPUINFO = """processor\t: 0
model name\t: Some CPU @ 2.50GHz
flags\t\t: fpu vme sse2 avx avx2 fma ht avx512f

processor\t: 1
model name\t: Another CPU
"""


def manifest_of(run: RunDirectory) -> dict[str, Any]:
    """Return the manifest as any other program reads it."""
    found = yaml.safe_load(run.manifest.read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def soon(run: RunDirectory, status: str) -> dict[str, Any]:
    """Return the manifest once it says so: a supervisor writes it a moment after its last entry."""
    for _ in range(200):
        if manifest_of(run)["run"]["status"] == status:
            break
        time.sleep(0.02)
    found = manifest_of(run)
    assert found["run"]["status"] == status
    return found


def test_at_the_start_it_says_with_what_and_on_what(
    call: Call, declare: Callable[..., dict[str, Any]], workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Command without secrets, code, packages, data, parameters, seeds, machine."""
    monkeypatch.setattr(sys, "argv", ["stagewright", "serve", "--token", "hunter2"])
    run = workspace.run(call("plan_run", spec=declare("ok"))["run_id"])
    found = manifest_of(run)
    assert found["run"]["command"] == ["stagewright", "serve", "--token", "***"]
    assert found["run"]["launched_at_utc"]
    assert found["code"]["stagewright_sha256"] == own_code_digest()
    for name in ("numpy", "scipy", "scikit-learn", "numba", "llvmlite", "h5py", "anndata", "threadpoolctl"):
        assert found["code"]["packages"][name] == version(name)
    assert found["data"]["sha256"]
    assert found["data"]["shape"] == [120, 60]
    assert found["params"]["seeds"]
    assert found["environment"]["cpus"]
    assert found["environment"]["memory_bytes"] > 2**20
    assert found["environment"]["threads"]["OMP_NUM_THREADS"] == "1"


def test_it_follows_an_attempt_that_ended_well(plan: Plan, call: Call, workspace: Workspace) -> None:
    """Before anybody asks for a verdict: artifacts, and what the worker computed with; `verify` finds nothing wrong."""
    run = workspace.run(plan("ok"))
    call("execute_stage", run_id=run.run_id)
    found = soon(run, "executed")
    outcome = json.loads((run.attempt(1, "A/ok") / "outcome.json").read_text(encoding="utf-8"))
    assert [item["path"] for item in found["artifacts"]["A/ok"]] == [item["path"] for item in outcome["artifacts"]]
    (ran_with,) = found["computed_with"]
    assert ran_with == {"steps": ["A/ok"], **outcome["computed_with"]}
    assert ran_with["code_sha256"] == own_code_digest()
    assert verify_run(run) == []


def test_it_follows_an_attempt_that_blocks_its_step(plan: Plan, call: Call, workspace: Workspace) -> None:
    """A blocked step has no verdict, and perhaps never a decision."""
    run = workspace.run(plan("crashes"))
    call("execute_stage", run_id=run.run_id)
    soon(run, "blocked")
    assert verify_run(run) == []


def test_one_that_a_killed_supervisor_left_behind_is_no_damage(plan: Plan, call: Call, workspace: Workspace) -> None:
    """The entry is made before the manifest is written; the next verdict writes it anew."""
    run = workspace.run(plan("ok"))
    before = run.manifest.read_bytes()
    call("execute_stage", run_id=run.run_id)
    soon(run, "executed")
    run.manifest.write_bytes(before)
    assert verify_run(run) == []
    call("validate_stage", run_id=run.run_id)
    assert manifest_of(run)["run"]["status"] == "validated"


def test_what_it_says_of_the_software_is_compared(plan: Plan, call: Call, workspace: Workspace) -> None:
    """The sealed outcome has it."""
    run = workspace.run(plan("ok"))
    call("execute_stage", run_id=run.run_id)
    call("validate_stage", run_id=run.run_id)
    text = run.manifest.read_text(encoding="utf-8")
    at = text.index("computed_with:")
    run.manifest.write_text(text[:at] + text[at:].replace(f"numpy: {version('numpy')}", "numpy: 1.0.0"))
    (problem,) = verify_run(run)
    assert "computed_with" in problem.what


def test_the_processor_is_told_from_what_the_kernel_says(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of its flags those that linear algebra looks at; and where there is nothing to read, nothing is said."""
    monkeypatch.setattr(sys, "platform", "linux")
    said = tmp_path_factory.mktemp("proc") / "cpuinfo"
    said.write_text(CPUINFO, encoding="utf-8")
    monkeypatch.setattr(machine, "CPUINFO", said)
    found = machine.this_machine()
    assert found.cpu == "Some CPU @ 2.50GHz"
    assert found.cpu_features == ("avx", "avx2", "avx512f", "fma", "sse2")
    monkeypatch.setattr(machine, "CPUINFO", said.with_name("none"))
    assert machine.this_machine().cpu_features == ()
