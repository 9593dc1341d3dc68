"""`stagewright export-calls`, and what it makes of runs that were named by their folders or were moved."""

import shutil
from pathlib import Path

import pytest

from stagewright.server.cli import main
from stagewright.state.run_directory import RunDirectory
from stagewright.tools.replay.cassette_file import read_cassette


def exported(run: Path, out: Path) -> Path:
    assert main(["export-calls", str(run), "--root", str(out.parent), "--out", str(out)]) == 0
    return out


def test_a_run_that_was_archived_elsewhere_is_replayed(
    finished: RunDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It was made by the command line, and no longer lies under its root: the record says where that was."""
    archive = tmp_path / "archive" / finished.run_id
    archive.parent.mkdir()
    shutil.move(finished.path, archive)
    cassette = exported(archive, tmp_path / "cassette.jsonl")
    text = cassette.read_text()
    assert finished.run_id not in text
    assert str(tmp_path.parent) not in text
    assert main(["replay", str(cassette)]) == 0, capsys.readouterr().out


def test_calls_that_named_the_run_by_its_folder_name_it_by_its_id(finished: RunDirectory, tmp_path: Path) -> None:
    """So a replay finds it, and no folder's name is given away. They are in the log of that run, whatever the root."""
    other = tmp_path / "other"
    other.mkdir()
    before = len(finished.log("tool_calls").read_text().splitlines())
    assert main(["state", str(finished.path), "--root", str(other)]) == 0
    assert len(finished.log("tool_calls").read_text().splitlines()) == before + 1
    assert not (other / "experiments").exists()
    calls = read_cassette(exported(finished.path, tmp_path / "cassette.jsonl")).calls
    assert calls[-1].tool == "read_state"
    assert calls[-1].arguments["run_id"] == "<run-1>"


def test_a_damaged_run_is_exported_with_a_warning(
    finished: RunDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And so is its story told: what was changed is named below."""
    log = finished.log("validation")
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:-1]))
    exported(finished.path, tmp_path / "cassette.jsonl")
    assert "does not hold together" in capsys.readouterr().err
    assert main(["log", str(finished.path)]) == 0
    assert "The record does not hold together: logs/validation" in capsys.readouterr().err


def test_a_line_number_is_no_emoji(finished: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    """What a person reads is what was written: `:100:` is the place of a line."""
    log = finished.log("tool_calls")
    log.write_bytes(log.read_bytes() + b"x\n" * 120)
    (finished.path / "B" / ":100: [red].csv").write_text("")
    assert main(["verify", str(finished.path)]) == 1
    assert "B/:100: [red].csv" in capsys.readouterr().out
