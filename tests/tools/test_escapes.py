"""What an agent writes under the root leads nowhere else: links, repository settings, files that point to others."""

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import pytest

from stagewright.state.refusals import Refusal
from stagewright.tools.workspace import Workspace

Call = Callable[..., dict[str, Any]]


def test_planning_runs_no_program_that_the_repository_names(
    workspace: Workspace,
    call: Call,
    declare: Callable[..., dict[str, Any]],
    tmp_path: Path,
) -> None:
    """`git status` would obey core.fsmonitor of a repository that an agent can write."""
    trap = tmp_path / "trap.sh"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path / 'sprung'}\n")
    trap.chmod(0o755)
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.invalid"]
    for words in (["init", "-q"], [*identity, "commit", "-q", "--allow-empty", "-m", "x"]):
        subprocess.run(["git", "-C", str(workspace.root), *words], check=True)
    subprocess.run(["git", "-C", str(workspace.root), "config", "core.fsmonitor", str(trap)], check=True)
    reply = call("plan_run", spec=declare("ok"))
    manifest = (Path(reply["run_dir"]) / "run_manifest.yaml").read_text()
    assert "git_commit: null" not in manifest
    assert not (tmp_path / "sprung").exists()


def test_an_attempt_is_never_made_through_a_link(
    call: Call,
    declare: Callable[..., dict[str, Any]],
    tmp_path: Path,
) -> None:
    """A link laid where the next attempt will be is refused as damage, and nothing outside is touched."""
    run = Path(call("plan_run", spec=declare("ok"))["run_dir"])
    outside = tmp_path / "outside"
    (outside / "staging").mkdir(parents=True)
    (outside / "request.json").write_text("precious")
    (run / "attempts" / "0001_A_ok").symlink_to(outside, target_is_directory=True)
    with pytest.raises(Refusal) as caught:
        call("execute_stage", run_id=run.name)
    assert caught.value.code == "damaged"
    assert (outside / "request.json").read_text() == "precious"
    assert (outside / "staging").is_dir()


def test_a_run_directory_that_is_a_link_is_no_run(
    workspace: Workspace,
    call: Call,
    declare: Callable[..., dict[str, Any]],
    tmp_path: Path,
) -> None:
    """A run of another root, linked here, is not one of this root."""
    run = Path(call("plan_run", spec=declare("ok"))["run_dir"])
    elsewhere = tmp_path / "elsewhere" / "experiments"
    elsewhere.mkdir(parents=True)
    (elsewhere / run.name).symlink_to(run, target_is_directory=True)
    with pytest.raises(Refusal) as caught:
        call("read_state", within=replace(workspace, root=elsewhere.parent), run_id=run.name)
    assert caught.value.code == "unknown_run"


def test_a_data_file_that_takes_its_matrix_from_another_file_is_refused(
    workspace: Workspace,
    call: Call,
    declare: Callable[..., dict[str, Any]],
    small_cohort: Path,
) -> None:
    """Its digest would not be that of the data, and it could reach outside the root."""
    path = workspace.root / "linked.h5ad"
    with h5py.File(path, "w") as file, h5py.File(small_cohort) as source:
        source.copy("obs", file)
        source.copy("var", file)
        file["X"] = h5py.ExternalLink(str(small_cohort), "X")
    spec = declare("ok")
    spec["data"] = spec["data"] | {"path": "linked.h5ad"}
    with pytest.raises(Refusal, match="X is a link into another file"):
        call("plan_run", spec=spec)
