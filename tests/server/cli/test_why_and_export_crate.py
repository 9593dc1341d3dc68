"""`stagewright why` and `stagewright export-crate` at the command line: exit status, text, and `--json`."""

import json
from pathlib import Path

import pytest

from stagewright.server.cli import main
from stagewright.state.run_directory import RunDirectory


def test_why_answers_in_text_and_in_json(finished: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    """The text fits 80 columns."""
    assert main(["why", str(finished.path), "B/noop"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("B/noop: done: attempt 2 was validated with verdict pass")
    assert "decided continue on A/noop" in " ".join(said.split())
    assert max(map(len, said.splitlines())) <= 80
    assert main(["why", str(finished.path), "B/noop", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [attempt["attempt"] for attempt in answer["attempts"]] == [2]
    assert [item["what"] for item in answer["happened"]] == ["verdict", "decision"]


def test_why_refuses_what_is_not_there(finished: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    """With the nearest name; a ledger that does not hold together tells nothing."""
    assert main(["why", str(finished.path), "B/nop"]) == 3
    assert "did you mean 'B/noop'?" in capsys.readouterr().err
    ledger = finished.log("agent_run")
    ledger.write_text(ledger.read_text(encoding="utf-8").replace('"verdict": "pass"', '"verdict": "warn"', 1))
    assert main(["why", str(finished.path), "B/noop"]) == 3
    assert "does not hold together" in capsys.readouterr().err


def test_export_crate_says_what_it_wrote(
    finished: RunDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And what it named without copying it."""
    words = ["export-crate", str(finished.path), "--out"]
    assert main([*words, str(tmp_path / "crate.zip"), "--up-to", "1B"]) == 0
    said = capsys.readouterr().out
    assert "3 sealed files above 1B (12 B) are named and not copied" in said
    assert "--license" in said
    assert "ro-crate-preview.html" in said
    assert main([*words, str(tmp_path / "crate"), "--license", "CC0-1.0", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["left_out"] == []
    assert Path(made["crate"]) == tmp_path / "crate"
    assert made["files"] == sum(path.is_file() for path in (tmp_path / "crate").rglob("*")) - 2  # metadata and page
    assert main([*words, str(tmp_path / "crate")]) == 3
    assert "is there already" in capsys.readouterr().err


@pytest.mark.parametrize(("option", "value"), [("--up-to", "20"), ("--author", "Ada <ada@example.org>")])
def test_export_crate_names_a_wrong_option(option: str, value: str, finished: RunDirectory, tmp_path: Path) -> None:
    """A size without a unit, and an author whose ORCID is none; nothing is written."""
    assert main(["export-crate", str(finished.path), "--out", str(tmp_path / "crate"), option, value]) == 2
    assert not (tmp_path / "crate").exists()
