"""`stagewright log` tells the story of a run; `stagewright verify` finds whatever was changed in it."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from stagewright.server.cli import main
from stagewright.state.chain import ChainedLog
from stagewright.state.run_directory import LOG_NAMES, RunDirectory, list_runs
from stagewright.tools.verify_run import verify_run

ARTIFACT = "B/analysis/noop/result.txt"


def test_log_is_readable_at_80_columns(finished_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All four logs merged in time, no line wider than 80 columns, the story in its order."""
    (run,) = list_runs(finished_root)
    assert main(["log", str(run.path), "--all"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    kinds = [line.split()[1] for line in lines if line[:2].isdigit() and ":" in line[:3]]
    assert set(kinds) == {"ledger", "gate", "decide", "call"}
    assert "planned 3 steps" in lines[1]
    times = [line.split()[0] for line in lines if line[:2].isdigit() and ":" in line[:3]]
    assert times == sorted(times)


def test_log_counts_the_findings_that_pass(finished: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a validation's findings those that warn, fail or err are shown, the others counted; --all shows each."""
    log = ChainedLog(finished.log("validation"))
    passed = [str(entry["message"]) for entry in log.entries() if entry["severity"] == "pass"]
    (last,) = list(log.entries())[-1:]
    fields = {key: value for key, value in last.items() if key not in ("at", "seq", "prev", "hash")}
    log.append(str(last["at"]), fields | {"severity": "warn", "message": "warn: a gate: a subject: 3"})
    assert main(["log", str(finished.path), "--log", "validation"]) == 0
    shown = capsys.readouterr().out
    assert shown.count(" findings passed") == 3
    assert sum(int(line.split()[3]) for line in shown.splitlines() if "findings passed" in line) == len(passed)
    assert "warn: a gate: a subject: 3" in shown
    assert len(shown.splitlines()) == 5
    assert main(["log", str(finished.path), "--log", "validation", "--all"]) == 0
    shown = capsys.readouterr().out
    assert "findings passed" not in shown
    assert shown.count(" pass: ") == len(passed)


def test_log_filters(finished_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By log, step or checkpoint, kind of entry, and age; with --json one entry a line, as it was written."""
    (run,) = list_runs(finished_root)

    def entries(*words: str) -> list[dict[str, object]]:
        assert main(["log", run.run_id, "--root", str(finished_root), "--json", *words]) == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    everything = entries()
    assert len(everything) == sum(1 for name in LOG_NAMES for _ in ChainedLog(run.log(name)).lines())
    assert {entry["log"] for entry in entries("--log", "decision", "--log", "validation")} == {"decision", "validation"}
    assert {entry["step"] for entry in entries("--step", "B/noop")} == {"B/noop"}
    assert {entry["step"] for entry in entries("--step", "C")} == {"C/noop"}
    assert {entry["event"] for entry in entries("--event", "attempt_finished")} == {"attempt_finished"}
    assert entries("--since", "1h") == everything
    assert entries("--since", "2100-01-01") == []


def test_log_follow_shows_a_new_line(root: Path) -> None:
    """`--follow` shows an entry soon after it was written, and ends when the run is over."""
    at = ("--root", str(root))
    assert main(["plan", str(root / "spec.yaml"), *at]) == 0
    (run,) = list_runs(root)
    process = subprocess.Popen(
        [sys.executable, "-m", "stagewright.server", "log", run.run_id, *at, "--follow", "--log", "agent_run"],
        stdout=subprocess.PIPE,
        text=True,
    )
    stop = threading.Timer(60, process.kill)
    stop.start()
    assert process.stdout is not None
    assert "(UTC)" in process.stdout.readline()
    assert "planned 3 steps" in process.stdout.readline()
    assert main(["decide", run.run_id, "stop", "--rationale", "no need", *at]) == 0
    rest, _ = process.communicate(timeout=60)
    stop.cancel()
    assert "stop the run: no need" in rest
    assert process.returncode == 0


def test_an_untouched_run_holds_together(finished_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A finished run verifies, by its name and with --all."""
    (run,) = list_runs(finished_root)
    assert main(["verify", run.run_id, "--root", str(finished_root)]) == 0
    assert "holds together" in capsys.readouterr().out
    assert main(["verify", "--all", "--root", str(finished_root), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(item["run_id"], item["problems"]) for item in found["runs"]] == [(run.run_id, [])]


@pytest.mark.parametrize("name", LOG_NAMES)
@pytest.mark.parametrize("place", ["first line", "middle", "last byte"])
def test_an_edited_byte_in_a_log_shows(finished: RunDirectory, name: str, place: str) -> None:
    """One changed byte anywhere in any log is a problem of that log, with its line."""
    path = finished.log(name)
    raw = bytearray(path.read_bytes())
    at = {"first line": 8, "middle": len(raw) // 2, "last byte": len(raw) - 1}[place]
    raw[at] = ord("#") if raw[at] != ord("#") else ord("+")
    line = raw[:at].count(b"\n") + 1
    path.write_bytes(bytes(raw))
    problems = verify_run(finished)
    assert any(item.file == f"logs/{name}.log" and item.line == line for item in problems), problems


def cut_last_line(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))


def edit(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(bytes(raw))


def swap(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


SPOILT: dict[str, tuple[Callable[[RunDirectory], None], str, str]] = {
    "artifact edited": (lambda run: edit(run.path / ARTIFACT), ARTIFACT, "sha256 differs"),
    "artifact lost": (lambda run: (run.path / ARTIFACT).unlink(), ARTIFACT, "is missing"),
    "artifact longer": (lambda run: void((run.path / ARTIFACT).write_text("done!")), ARTIFACT, "has 5 bytes"),
    "undeclared file": (
        lambda run: void((run.path / "C" / "extra.csv").write_text("a")),
        "C/extra.csv",
        "no step declared it",
    ),
    "plan edited": (lambda run: edit(run.plan), "PLAN.md", "changed after it was sealed"),
    "manifest lost": (lambda run: run.manifest.unlink(), "run_manifest.yaml", "is missing"),
    "manifest's status edited": (
        lambda run: swap(run.manifest, "status: completed", "status: stopped"),
        "run_manifest.yaml",
        "run.status is stopped, by the ledger completed",
    ),
    "manifest's parameter edited": (
        lambda run: swap(run.manifest, "k_chosen: {}", "k_chosen: {fa: 20}"),
        "run_manifest.yaml",
        "params.k_chosen.fa is 20, by the ledger not set",
    ),
    "manifest's adjustments edited": (
        lambda run: swap(run.manifest, "adjustments: {}", "adjustments: {seeds: [7]}"),
        "run_manifest.yaml",
        "params.adjustments.seeds",
    ),
    "manifest's artifact edited": (
        lambda run: swap(run.manifest, "path: B/analysis/noop/result.txt", "path: B/analysis/noop/other.txt"),
        "run_manifest.yaml",
        "artifacts of B/noop: it does not list 1 of 1 as sealed, first B/analysis/noop/result.txt",
    ),
    "spec edited": (lambda run: edit(run.spec), "spec.yaml", "changed after it was sealed"),
    "outcome edited": (
        lambda run: edit(run.path / "attempts/0001_A_noop/outcome.json"),
        "attempts/0001_A_noop/outcome.json",
        "changed after it was sealed",
    ),
    "request edited": (
        lambda run: edit(run.path / "attempts/0002_B_noop/request.json"),
        "attempts/0002_B_noop/request.json",
        "changed after it was sealed",
    ),
    "snapshot edited": (
        lambda run: void(run.snapshot.write_text(run.snapshot.read_text().replace('"completed"', '"stopped"'))),
        "RUN_STATE.json",
        "differs from the fold",
    ),
    "snapshot lost": (lambda run: run.snapshot.unlink(), "RUN_STATE.json", "is missing"),
    "ledger cut": (lambda run: cut_last_line(run.log("agent_run")), "RUN_STATE.json", "the ledger was cut"),
    "validation log cut": (
        lambda run: cut_last_line(run.log("validation")),
        "logs/agent_run.log",
        "validation.log, which is not there",
    ),
    "decision log gone": (lambda run: run.log("decision").unlink(), "logs/decision.log", "is missing"),
}


def void(_: object) -> None:
    """Drop a value, so that an expression can stand where nothing is returned."""


@pytest.mark.parametrize("what", SPOILT)
def test_whatever_is_changed_shows(finished: RunDirectory, what: str) -> None:
    """Each damage is a problem that names the file and what is wrong with it."""
    spoil, file, said = SPOILT[what]
    assert verify_run(finished) == []
    spoil(finished)
    problems = verify_run(finished)
    assert any(item.file == file and said in item.what for item in problems), problems


def test_verify_names_file_and_line_and_leaves_with_1(
    finished: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a person sees: the path of the damaged file with its line, and status 1."""
    path = finished.log("validation")
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(b'"pass"', b'"fail"', 1)
    path.write_bytes(b"".join(lines))
    assert main(["verify", str(finished.path)]) == 1
    assert f"{finished.run_id}/logs/validation.log:2: was changed" in capsys.readouterr().out


def test_a_rewritten_chain_shows_by_its_anchors(finished: RunDirectory) -> None:
    """A log that was forged and chained anew from the forged line on no longer fits the ledger's anchors."""
    path = finished.log("validation")
    entries = list(ChainedLog(path).entries())
    path.unlink()
    for entry in entries:
        fields = {key: value for key, value in entry.items() if key not in ("at", "seq", "prev", "hash")}
        ChainedLog(path).append(str(entry["at"]), fields | {"measured": "forged"})
    assert ChainedLog(path).problems() == []
    problems = verify_run(finished)
    assert {(item.file, "validation.log with another hash" in item.what) for item in problems} == {
        ("logs/agent_run.log", True),
        ("logs/validation.head", True),
    }


def test_a_superseded_attempt_is_verified_where_it_was_moved(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """After an adjustment the replaced artifacts are verified in superseded/."""
    at = ("--root", str(root))
    assert main(["plan", str(root / "spec.yaml"), *at]) == 0
    (run,) = list_runs(root)
    for words in (
        ["execute", run.run_id],
        ["validate", run.run_id],
        ["decide", run.run_id, "adjust", "--rationale", "again", "--adjust", "seeds=[7]"],
        ["execute", run.run_id],
    ):
        assert main([*words, *at]) == 0
    capsys.readouterr()
    assert verify_run(run) == []
    (kept,) = (run.path / "attempts").glob("*/superseded/A/analysis/noop/result.txt")
    kept.write_text("gone")
    (problem,) = verify_run(run)
    assert "of attempt 1, since replaced, was changed in superseded/" in problem.what
