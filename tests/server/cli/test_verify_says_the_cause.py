"""`stagewright verify` names what is wrong once, at its cause, and does not guess what it cannot know."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from stagewright.server.cli import main
from stagewright.state.chain import GENESIS, ChainedLog
from stagewright.state.head_file import head_path, head_text
from stagewright.state.ledger import Ledger
from stagewright.state.manifest import manifest_text, read_manifest
from stagewright.state.run_directory import RunDirectory
from stagewright.state.snapshot import write_snapshot
from stagewright.tools.verify_run import verify_run

OUTCOME = "attempts/0002_B_noop/outcome.json"
ARTIFACT = "B/analysis/noop/result.txt"
FORGED = {
    "gate": "budget",
    "severity": "pass",
    "subject": "the step",
    "measured": "nothing",
    "threshold": "the limits",
    "reason": "none",
}


def break_line(run: RunDirectory, log: str, number: int, change: Callable[[bytes], bytes]) -> None:
    lines = run.log(log).read_bytes().splitlines(keepends=True)
    lines[number - 1] = change(lines[number - 1])
    run.log(log).write_bytes(b"".join(lines))


def move_head(log: ChainedLog) -> None:
    """Let a log's head file name its last entry, as a forger would who chained it anew."""
    head_path(log.path).write_text(head_text(log.head()))


def test_a_broken_ledger_is_one_cause_and_one_count(finished: RunDirectory) -> None:
    """A changed line of the ledger is named, with one line for all files that only later lines could tell."""
    break_line(finished, "agent_run", 4, lambda line: line.replace(b"A/noop", b"B/noop", 1))
    cause, rest = map(str, verify_run(finished))
    assert cause.startswith("logs/agent_run.log:4: was changed")
    # The artifacts of A, B and C, RUN_STATE.json and the manifest: line 4 validates A, and may have led to its redoing.
    assert rest == "logs/agent_run.log:4: 5 files could not be checked because agent_run.log:4 does not hold"


def test_what_was_settled_before_the_break_is_checked(finished: RunDirectory) -> None:
    """An artifact that was changed shows also beside a ledger that breaks later, if nothing can have replaced it."""
    n_lines = len(list(ChainedLog(finished.log("agent_run")).lines()))
    break_line(finished, "agent_run", n_lines, lambda line: line.replace(b'"', b"'", 1))
    (finished.path / "A" / "analysis" / "noop" / "result.txt").write_text("DONE")
    problems = [str(problem) for problem in verify_run(finished)]
    assert len(problems) == 3
    assert problems[0].startswith(f"logs/agent_run.log:{n_lines}: is not a JSON object")
    changed = (
        "A/analysis/noop/result.txt: was changed after it was sealed (its sha256 differs); sealed of A/noop, attempt 1"
    )
    assert problems[1].startswith(changed)
    assert f"3 files could not be checked because agent_run.log:{n_lines} does not hold" in problems[-1]


def test_an_impossible_event_is_one_cause_and_one_count(finished: RunDirectory) -> None:
    """A ledger that was chained anew around an impossible event breaks at that event."""
    path = finished.log("agent_run")
    entries = list(ChainedLog(path).entries())
    path.unlink()
    for number, entry in enumerate(entries, start=1):
        fields = {key: value for key, value in entry.items() if key not in ("at", "seq", "prev", "hash")}
        if number == 4:
            fields = fields | {"event": "approved", "checkpoint": "B", "reason": "forged"}
            fields = {key: fields[key] for key in ("message", "step", "event", "checkpoint", "reason", "anchors")}
        ChainedLog(path).append(str(entry["at"]), fields)
    move_head(ChainedLog(path))
    problems = [str(problem) for problem in verify_run(finished)]
    assert problems[0].startswith("logs/agent_run.log:4: could not have happened then")
    assert len(problems) == 2
    assert problems[1].endswith("could not be checked because agent_run.log:4 does not hold")


def judge_anew(run: RunDirectory, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the verdict on A/noop, and make the ledger's chain and the snapshot anew around it, as a forger would."""
    path = run.log("agent_run")
    entries: list[dict[str, Any]] = list(ChainedLog(path).entries())
    path.unlink()
    for entry in entries:
        if (entry["event"], entry["step"]) == ("step_validated", "A/noop"):
            change(entry)
        fields = {key: value for key, value in entry.items() if key not in ("at", "seq", "prev", "hash")}
        ChainedLog(path).append(entry["at"], fields)
    ledger = Ledger(run)
    move_head(ledger.log)
    write_snapshot(run.snapshot, ledger.fold(), ledger.log.head(), entries[-1]["at"])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda entry: entry["gates"].update(passed=entry["gates"]["passed"] - 1), "than validation.log has: pass "),
        (lambda entry: entry["gates"].update(warned=2), "warn 2 (validation.log: 0)"),
        (lambda entry: entry.update(verdict="warn"), "was judged warn; the worst of its findings is pass"),
        (lambda entry: entry["gates"].update(worst=[FORGED]), "shows a finding of budget on A/noop that"),
    ],
    ids=["a pass too few", "warnings", "verdict", "finding"],
)
def test_a_verdict_that_its_findings_do_not_bear_out_is_named(
    finished: RunDirectory, change: Callable[[dict[str, Any]], object], says: str
) -> None:
    """Every chain holds, and still the ledger does not say what validation.log says: its line is named."""
    judge_anew(finished, lambda _: None)
    assert verify_run(finished) == []
    judge_anew(finished, change)
    (problem,) = verify_run(finished)
    assert (problem.file, problem.line) == ("logs/agent_run.log", 4)
    assert says in problem.what


def test_findings_without_a_verdict_count_for_none(finished: RunDirectory) -> None:
    """A judge that died before its verdict leaves findings of its own time; the next one counts its own."""
    path = finished.log("validation")
    entries = list(ChainedLog(path).entries())
    path.unlink()
    orphan = {key: value for key, value in entries[0].items() if key not in ("at", "seq", "prev", "hash")}
    ChainedLog(path).append("2026-01-01T00:00:00.000Z", orphan | {"severity": "fail"})
    heads = [{"seq": 0, "hash": GENESIS}, {"seq": 1, "hash": ChainedLog(path).head().hash}]
    for entry in entries:
        fields = {key: value for key, value in entry.items() if key not in ("at", "seq", "prev", "hash")}
        ChainedLog(path).append(str(entry["at"]), fields)
        heads.append({"seq": len(heads), "hash": ChainedLog(path).head().hash})
    ledger = finished.log("agent_run")
    events: list[dict[str, Any]] = list(ChainedLog(ledger).entries())
    ledger.unlink()
    for event in events:
        seq = event["anchors"]["validation"]["seq"]
        anchors = event["anchors"] | {"validation": heads[seq + 1 if seq else 0]}
        fields = {key: value for key, value in event.items() if key not in ("at", "seq", "prev", "hash")}
        ChainedLog(ledger).append(event["at"], fields | {"anchors": anchors})
    move_head(ChainedLog(path))
    move_head(ChainedLog(ledger))
    write_snapshot(finished.snapshot, Ledger(finished).fold(), ChainedLog(ledger).head(), events[-1]["at"])
    assert verify_run(finished) == []


def test_a_missing_log_is_one_line(finished: RunDirectory) -> None:
    """Not one for each entry of the ledger that anchors it; without the ledger itself the files are counted."""
    finished.log("validation").unlink()
    assert [problem.file for problem in verify_run(finished)] == ["logs/validation.log"]
    finished.log("agent_run").unlink()
    problems = [str(problem) for problem in verify_run(finished)]
    assert len(problems) == 3
    assert problems[-1] == "logs/agent_run.log: 5 files could not be checked because agent_run.log does not hold"


def test_a_log_whose_every_line_was_changed_is_a_few_lines(finished: RunDirectory) -> None:
    """Rewritten line ends break each line; the first ones are named and the others counted."""
    path = finished.log("tool_calls")
    path.write_bytes(path.read_bytes().replace(b"\n", b" \n"))
    problems = verify_run(finished)
    n_lines = path.read_bytes().count(b"\n")
    assert {problem.file for problem in problems} == {"logs/tool_calls.log"}
    assert [problem.line for problem in problems] == [1, 2, 3, 4, 5, None]
    assert f"{n_lines - 5} more lines" in problems[-1].what


def test_a_changed_outcome_does_not_make_its_files_strangers(finished: RunDirectory) -> None:
    """It is named once, with the number of files that it listed; what the manifest lists for them is compared."""
    with (finished.path / OUTCOME).open("a") as file:
        file.write(" ")
    (problem,) = verify_run(finished)
    assert problem.file == OUTCOME
    assert problem.what.endswith("; the 1 file of B/noop, attempt 2, cannot be told from it")

    (finished.path / ARTIFACT).write_text("DONE")
    (finished.path / "B" / "extra.csv").write_text("a")
    assert {(item.file, item.what.partition(" (")[0]) for item in verify_run(finished)[1:]} == {
        (ARTIFACT, "was changed after it was sealed"),
        ("B/extra.csv", "lies in a checkpoint's folder and no step declared it"),
    }


def test_without_outcome_and_manifest_files_are_not_called_strangers(finished: RunDirectory) -> None:
    """Where nothing tells which files a step wrote, none of its checkpoint's files is accused."""
    (finished.path / OUTCOME).unlink()
    finished.manifest.unlink()
    assert [problem.file for problem in verify_run(finished)] == [OUTCOME, "run_manifest.yaml"]


def test_a_manifest_that_leads_out_of_the_run_is_not_followed(finished: RunDirectory) -> None:
    """The manifest is anybody's to edit: only what lies in the step's checkpoint is read because of it."""
    (finished.path / OUTCOME).unlink()
    text = finished.manifest.read_text()
    finished.manifest.write_text(text.replace(f"path: {ARTIFACT}", "path: B/../../../outside.txt"))
    assert [problem.file for problem in verify_run(finished)] == [OUTCOME]


def test_a_manifest_left_behind_by_a_crash_is_called_so(finished: RunDirectory) -> None:
    """A manifest that says what was so after an earlier verdict or decision is behind, not changed."""
    behind: Any = read_manifest(finished.manifest.read_text())
    del behind["artifacts"]["C/noop"]
    behind["computed_with"] = [
        facts | {"steps": [step for step in facts["steps"] if step != "C/noop"]} for facts in behind["computed_with"]
    ]
    behind["run"] |= {"status": "planned", "finished_at_utc": None}
    finished.manifest.write_text(manifest_text(behind))
    (problem,) = verify_run(finished)
    assert problem.file == "run_manifest.yaml"
    assert problem.what.startswith("is behind the ledger: it says what was so at line ")


def test_json_says_the_same(finished: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json each problem is an object with file, line and what."""
    break_line(finished, "agent_run", 4, lambda line: line.replace(b"A/noop", b"B/noop", 1))
    assert main(["verify", str(finished.path), "--json"]) == 1
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    assert [(item["file"], item["line"]) for item in run["problems"]] == [("logs/agent_run.log", 4)] * 2
