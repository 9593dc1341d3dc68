"""A deliberate change, to a reply, a number or a message, makes the right call red; `--update` takes it over."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stagewright.server.replay.replay_cassette import recorded_workspace, updated
from stagewright.server.replay.ways import Replay, Way
from stagewright.state.ledger import Ledger
from stagewright.state.refusals import Refusal
from stagewright.state.run_directory import list_runs
from stagewright.tools.replay.cassette_file import read_cassette, write_cassette
from stagewright.tools.reproduce.record import read_record

Replayed = Callable[[Path, Way], Replay]
Example = Callable[[str], Path]


def changed(source: Path, place: Path, change: Callable[[int, dict[str, Any]], None]) -> Path:
    """Write a cassette in which `change` was applied to each answer."""
    lines = [json.loads(line) for line in source.read_text().splitlines()]
    for line in lines:
        if "result" in line:
            change(int(line["id"]), line["result"]["structuredContent"])
    place.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return place


def red(done: Replay) -> list[tuple[str, list[str]]]:
    return [(call.frame.tool, [item.place for item in call.differences]) for call in done.calls if call.differences]


def test_a_changed_reply_a_metric_and_a_message_are_told_apart(
    tmp_path: Path, example: Example, replayed: Replayed
) -> None:
    """Each red call names the place; the calls around it stay green."""

    def change(_number: int, answer: dict[str, Any]) -> None:
        if answer.get("step") == "A/plan0" and answer.get("verdict") == "pass":
            answer["passed"] += 1
        if answer.get("step") == "A/plan1b" and "plan1b.best.auc" in answer.get("metrics", {}) and "done" in answer:
            answer["metrics"]["plan1b.best.auc"] += 0.001
        if answer.get("decision") == "continue" and answer.get("step") == "B/plan0":
            answer["summary"] = answer["summary"].replace("recorded", "noted")

    done = replayed(changed(example("clean_run"), tmp_path / "c.jsonl", change), Way())
    assert red(done) == [
        ("validate_stage", ["passed"]),
        ("execute_stage", ["metrics.plan1b.best.auc"]),
        ("decide", ["summary"]),
    ]


def test_a_refusal_where_there_was_an_answer_is_one_difference(
    tmp_path: Path, example: Example, replayed: Replayed
) -> None:
    """It says what was said instead, not that every field is gone."""
    lines = example("stopped").read_text().splitlines()
    text = "\n".join(line.replace('"isError": true', '"isError": false') for line in lines)
    (tmp_path / "c.jsonl").write_text(text)
    assert red(replayed(tmp_path / "c.jsonl", Way())) == [("decide", ["what came back"])]


def test_update_takes_the_new_answers_over(tmp_path: Path, example: Example, replayed: Replayed) -> None:
    """And nothing but those: the cassette is then the one that was recorded."""

    def change(_number: int, answer: dict[str, Any]) -> None:
        answer["summary"] = str(answer.get("summary")).replace("verdict", "judgement")

    original = read_cassette(example("stopped"))
    done = replayed(changed(example("stopped"), tmp_path / "c.jsonl", change), Way())
    assert done.differs
    (tmp_path / "d.jsonl").write_text(write_cassette(updated(done)))
    assert not replayed(tmp_path / "d.jsonl", Way()).differs
    assert [call.tool for call in updated(done).calls] == [call.tool for call in original.calls]


@pytest.mark.parametrize(
    ("line", "text", "said"),
    [
        (0, "{}", "1 is no line of a cassette"),
        (0, '{"cassette": 9, "stagewright": "x", "client": {"name": "x"}}', "1 is no line of a cassette"),
        (2, "no json", "3 is no line of a cassette"),
        (2, '{"jsonrpc": "2.0", "method": "stagewright/unheard", "params": {}}', "3 is no line of a cassette"),
    ],
)
def test_what_is_no_cassette_is_refused_with_its_line(
    line: int, text: str, said: str, tmp_path: Path, example: Example
) -> None:
    """The refusal says how one is made."""
    lines = example("stopped").read_text().splitlines()
    lines[line] = text
    (tmp_path / "c.jsonl").write_text("\n".join(lines))
    with pytest.raises(Refusal, match=said) as refused:
        read_cassette(tmp_path / "c.jsonl")
    assert "export-calls" in refused.value.message


@pytest.mark.parametrize("place", ["../out.yaml", "/etc/out.yaml", "a/../../out.yaml", "..\\\\out.yaml"])
def test_a_cassette_writes_nothing_outside_of_its_root(place: str, tmp_path: Path, example: Example) -> None:
    """Whoever wrote it: the paths of specs, gene lists, data and artifacts lie below the root, or it is refused."""
    text = example("stopped").read_text()
    for written in ('"stagewright/files": {"study.yaml"', '"path": "builtin_cohort.h5ad"'):
        assert written in text
        kept = written.rpartition('"study.yaml"')[0] or written.rpartition('"builtin_cohort.h5ad"')[0]
        (tmp_path / "c.jsonl").write_text(text.replace(written, f'{kept}"{place}"', 1))
        with pytest.raises(Refusal, match="is no path below the root of a replay"):
            read_cassette(tmp_path / "c.jsonl")


def test_a_rerun_without_its_data_says_what_is_missing(tmp_path: Path, example: Example, replayed: Replayed) -> None:
    """Data that are not the built-in cohort's are in no cassette."""
    text = example("stopped").read_text().replace('"built_in": true', '"built_in": false')
    (tmp_path / "c.jsonl").write_text(text)
    with pytest.raises(Refusal, match="give the file with --data"):
        replayed(tmp_path / "c.jsonl", Way(stages="rerun"))


def test_nobody_can_take_a_played_run_for_an_executed_one(tmp_path: Path, example: Example, replayed: Replayed) -> None:
    """The ledger names the executor `recorded`, and such a run is not reproduced."""
    replayed(example("clean_run"), Way(root=tmp_path / "kept"))
    (run,) = list_runs(tmp_path / "kept")
    started = [entry for entry in Ledger(run).log.entries() if entry["event"] == "attempt_started"]
    assert {str(entry["executor"]) for entry in started} == {"recorded"}
    with pytest.raises(Refusal, match="played back"):
        read_record(run)


def test_the_data_of_a_played_run_take_no_room(tmp_path: Path, example: Example) -> None:
    """A replay of a cohort of gigabytes writes none of them."""
    cassette = read_cassette(example("stopped"))
    assert recorded_workspace(cassette, tmp_path).children.stands_in == "recorded"


def test_pytest_replays_a_folder_of_cassettes(tmp_path: Path, example: Example) -> None:
    """One test a cassette, with the difference in its report."""

    def change(_number: int, answer: dict[str, Any]) -> None:
        if answer.get("verdict") == "pass":
            answer["verdict"] = "warn"

    folder = tmp_path / "cassettes"
    folder.mkdir()
    changed(example("stopped"), folder / "changed.jsonl", change)
    (folder / "same.jsonl").write_text(example("approved_at_the_command_line").read_text())
    words = ["-m", "pytest", "-c", "/dev/null", "--rootdir", str(tmp_path), "-p", "no:cacheprovider", "-q"]
    ran = subprocess.run(
        [sys.executable, *words, "--stagewright-cassettes", str(folder)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 failed, 1 passed" in ran.stdout, ran.stdout + ran.stderr
    assert "- 'warn'" in ran.stdout
    assert "+ 'pass'" in ran.stdout
