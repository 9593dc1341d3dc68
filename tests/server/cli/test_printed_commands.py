"""Commands that the command line prints work as they are pasted."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from stagewright.server.cli import main
from stagewright.server.cli.next_command import next_command, refusal_text
from stagewright.server.cli.typed_command import TypedCommand, program
from stagewright.state.ledger import Ledger
from stagewright.state.refusals import NextCall, Refusal
from stagewright.state.run_directory import list_runs

HERE = TypedCommand(program="stagewright")
THERE = TypedCommand(Path("my study"), Path("caps.toml"), program=".venv/bin/stagewright")


def test_root_and_policy_are_repeated_where_they_were_given() -> None:
    """And not where they were not."""
    call = NextCall(tool="execute_stage", arguments={"run_id": "2026_x"}, why="it is ready")
    assert next_command(call, HERE) == "stagewright execute 2026_x   (it is ready)"
    assert next_command(call, THERE) == (
        ".venv/bin/stagewright execute 2026_x --root 'my study' --policy caps.toml   (it is ready)"
    )


def test_an_approval_is_a_command_with_a_reason() -> None:
    """At a run that waits for a person, the next command is that person's, wherever it is named."""
    why = "a person has to run `stagewright approve 2026_x --reason ...` before B/noop; wait for it"
    call = NextCall(tool="read_state", arguments={"run_id": "2026_x", "wait_s": 45}, why=why)
    expected = ".venv/bin/stagewright approve 2026_x --reason \"...\" --root 'my study' --policy caps.toml"
    assert next_command(call, THERE, "awaiting_approval at B/noop").startswith(f"{expected}   (")
    assert expected in next_command(call, THERE)
    refusal = Refusal("not_allowed_now", "wait", status="awaiting_approval at B/noop", next_call=call)
    assert f"Next: {expected}" in refusal_text(refusal, THERE)


def test_arguments_with_structure_are_written_as_options() -> None:
    """A choice of K is one option a method, adjustments are JSON."""
    chosen: dict[str, object] = {"fa": 5, "nmf": 7}
    call = NextCall.model_validate(
        {
            "tool": "decide",
            "arguments": {"run_id": "x", "decision": "continue", "rationale": "...", "k_by_method": chosen},
            "why": "y",
        }
    )
    assert next_command(call, HERE) == ('stagewright decide x continue --rationale "..." --k fa=5 --k nmf=7   (y)')


def test_the_program_is_named_as_it_can_be_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bare on PATH; as invoked when PATH has none, or another; by its module where there is no script."""
    mine, other = tmp_path / "venv" / "stagewright", tmp_path / "other" / "stagewright"
    for script in (mine, other):
        script.parent.mkdir()
        script.write_text("#!/bin/sh\n")
        script.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["venv/stagewright"])
    monkeypatch.setenv("PATH", str(mine.parent))
    assert program() == "stagewright"
    monkeypatch.setenv("PATH", str(other.parent))
    assert program() == "venv/stagewright"
    monkeypatch.setenv("PATH", "")
    assert program() == "venv/stagewright"
    monkeypatch.setattr(sys, "argv", ["server/__main__.py"])
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bare" / "python"))
    assert program() == f"{tmp_path / 'bare' / 'python'} -m stagewright.server"


def test_a_printed_command_does_what_it_says(root: Path) -> None:
    """The line after `Next:` is a command that a shell runs, from the folder where it was printed."""
    at = ["--root", root.name, "--policy", f"{root.name}/stagewright.toml"]
    command = [sys.executable, "-m", "stagewright.server", "plan", f"{root.name}/spec.yaml", *at]
    planned = subprocess.run(command, cwd=root.parent, capture_output=True, text=True, check=True, timeout=60)
    line = planned.stdout.rpartition("Next: ")[2].partition("   (")[0]
    assert line.endswith(" ".join(map(shlex.quote, at)))
    subprocess.run(line, shell=True, cwd=root.parent, capture_output=True, check=True, timeout=60)  # noqa: S602 - what a person does
    (run,) = list_runs(root)
    assert Ledger(run).fold().status == "executed"


def test_init_names_the_missing_file_first(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A data file that is not there is the first thing to say, though the spec exists too."""
    missing = root / "missing.h5ad"
    assert main(["init", str(missing), "--out", str(root / "spec.yaml"), "--root", str(root)]) == 3
    said = capsys.readouterr().err
    assert f"{missing} does not exist" in said
    assert "--out" not in said
