"""The command line as processes: what loads, what is printed where, and the exit status."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from stagewright import __version__
from stagewright.server.cli import COMMANDS, main
from stagewright.server.cli.typed_command import program

HEAVY = ("numpy", "pandas", "anndata", "scanpy", "sklearn", "scipy", "h5py", "numba")

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}


def loaded_by(program: str, cwd: Path, said: str = "") -> set[str]:
    """Return the modules that a Python program has loaded at its end."""
    tail = "\nimport sys; sys.stderr.write('LOADED ' + ' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program + tail], cwd=cwd, input=said, capture_output=True, text=True, check=True
    )
    return set(done.stderr.rpartition("LOADED ")[2].split())


def test_serve_answers_and_loads_no_numerical_library(tmp_path: Path) -> None:
    """A server that was initialized has loaded the protocol, and neither a numerical library nor the command line's."""
    program = "from stagewright.server.cli import main\nassert main(['serve', '--root', '.']) == 0"
    loaded = loaded_by(program, tmp_path, json.dumps(INITIALIZE) + "\n")
    assert "mcp" in loaded
    assert loaded.isdisjoint({*HEAVY, "typer", "stagewright.server.cli.application"})


@pytest.mark.parametrize("words", [["state"], ["verify", "--all"], ["--version"]])
def test_no_command_loads_a_numerical_library_or_the_protocol(tmp_path: Path, words: list[str]) -> None:
    """Only `serve` loads the protocol; heavy work is done by children."""
    loaded = loaded_by(f"from stagewright.server.cli import main\nassert main({words!r}) == 0", tmp_path)
    assert loaded.isdisjoint({*HEAVY, "mcp"})


def test_serve_speaks_on_standard_output_only_to_the_client(tmp_path: Path) -> None:
    """Every line of standard output is a message of the protocol."""
    done = subprocess.run(
        [sys.executable, "-m", "stagewright.server", "serve", "--root", str(tmp_path)],
        input=json.dumps(INITIALIZE) + "\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    (line,) = done.stdout.splitlines()
    assert json.loads(line)["result"]["serverInfo"]["version"] == __version__
    assert done.returncode == 0


def test_serve_refuses_a_policy_with_faults(tmp_path: Path) -> None:
    """A server does not start with caps that it cannot read."""
    (tmp_path / "stagewright.toml").write_text("[caps]\nruntime = 5\n")
    done = subprocess.run(
        [sys.executable, "-m", "stagewright.server", "serve", "--root", str(tmp_path)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 3
    assert done.stdout == ""
    assert "caps.runtime" in done.stderr


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` prints the version; `--help` names every command."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"stagewright {__version__}\n"
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f" {name} " in shown for name in COMMANDS)


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "serve"])
def test_every_command_has_the_common_options(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command takes --root, --policy and --json."""
    assert main([name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert all(option in shown for option in ("--root", "--policy", "--json"))


@pytest.mark.parametrize(
    "words",
    [
        ["plan"],
        ["nonsense"],
        ["plan", "spec.yaml", "--root", "no-such-folder"],
        ["decide", "x", "perhaps", "--rationale", "r"],
        ["decide", "x", "adjust", "--rationale", "r", "--adjust", "k"],
        ["decide", "x", "continue", "--rationale", "r", "--k", "fa=many"],
        ["log", "x", "--since", "yesterday"],
        ["verify"],
    ],
)
def test_wrong_usage_leaves_with_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A command that cannot be understood says so on standard error and leaves with 2."""
    assert main(words) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "Usage" in said.err
    assert "Traceback" not in said.err


def test_an_unknown_run_is_refused(tmp_path: Path) -> None:
    """A refusal is text on standard error with what to do next, and status 3."""
    done = subprocess.run(
        [sys.executable, "-m", "stagewright.server", "execute", "nope"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert done.stdout == ""
    assert "unknown_run" in done.stderr
    assert f"Next: {program()} plan spec.yaml" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("verb", ["execute", "validate", "log", "verify"])
def test_json_refusals_are_facts(verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json a refusal is one JSON object on standard output."""
    assert main([verb, "nope", "--root", str(tmp_path), "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["refused"] == "unknown_run"


def test_a_bad_spec_is_refused_with_every_fault(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Planning names all faults of a spec at once, each with its place."""
    (root / "bad.yaml").write_text(
        "objective: x\n"
        "data: {path: cohort.h5ad, pateint: patient, label: {column: a, positive: b, negative: b}}\n"
        "budget: {runtime: 6}\n"
    )
    assert main(["plan", str(root / "bad.yaml"), "--root", str(root)]) == 3
    said = capsys.readouterr()
    assert said.out == ""
    for place in ("data.pateint", "data.patient", "data.label", "budget.runtime"):
        assert place in said.err


def test_a_named_policy_must_exist_and_be_right(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A policy file with faults is refused with its path, never passed over."""
    (root / "other.toml").write_text("data_rots = []\n")
    assert main(["state", "--root", str(root), "--policy", str(root / "other.toml")]) == 3
    said = capsys.readouterr().err
    assert "other.toml" in said
    assert "data_roots" in said
    assert main(["state", "--root", str(root), "--policy", str(root / "missing.toml")]) == 2
