"""A person goes through the loop with the verbs of the command line."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from stagewright.server.cli import main
from stagewright.server.cli.typed_command import program
from stagewright.state.canonical import digest_json
from stagewright.state.ledger import Ledger
from stagewright.state.run_directory import list_runs


def answer(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
    """Run a command with --json and return its status and its answer."""
    status = main([*words, "--json"])
    return status, json.loads(capsys.readouterr().out)


def test_plan_execute_validate_decide(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each verb does its step, says the next command, and is recorded with the person's name."""
    at = ("--root", str(root))
    status, planned = answer(capsys, "plan", str(root / "spec.yaml"), *at)
    assert (status, planned["status"]) == (0, "planned")
    run_id = planned["run_id"]

    status, executed = answer(capsys, "execute", run_id, *at)
    assert (status, executed["status"], executed["n_artifacts"]) == (0, "executed", 1)
    assert main(["decide", run_id, "continue", "--rationale", "too early", *at]) == 3
    assert f"Next: {program()} validate {run_id} --root {root} " in capsys.readouterr().err

    assert main(["validate", run_id, *at]) == 0
    shown = capsys.readouterr().out
    assert "verdict pass" in shown
    assert f"Next: {program()} decide {run_id} continue --rationale" in shown

    prefix = run_id[:12]
    status, decided = answer(capsys, "decide", prefix, "continue", "--rationale", "passed", *at)
    assert (status, decided["step"], decided["status"]) == (0, "B/noop", "planned")
    status, state = answer(capsys, "state", str(root / "experiments" / run_id), *at)
    assert state["items"][0]["last_completed_step"] == "A/noop"

    (run,) = list_runs(root)
    calls = list(Ledger(run).detail("tool_calls").entries())
    assert [call["tool"] for call in calls] == [
        "plan_run",
        "execute_stage",
        "decide",
        "validate_stage",
        "decide",
        "read_state",
    ]
    assert all(str(call["actor"]).startswith("person:") for call in calls)
    assert {str(call["client"]["name"]) for call in calls if isinstance(call["client"], dict)} == {"stagewright-cli"}


def test_adjustments_are_read_as_yaml_or_json(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--adjust name=value` and `--adjustments JSON` say the same."""
    at = ("--root", str(root))
    _, planned = answer(capsys, "plan", str(root / "spec.yaml"), *at)
    words = ("decide", planned["run_id"], "adjust", "--rationale", "smaller", *at)
    status, first = answer(capsys, *words, "--adjust", "k=[10, 20]", "--adjust", "workers=1")
    assert status == 0
    assert {item.split()[0] for item in first["changes"]} == {"k", "workers"}
    status, second = answer(capsys, *words, "--adjustments", '{"k": [10], "workers": 2}')
    assert status == 0
    assert {item.split()[0] for item in second["changes"]} == {"k", "workers"}
    status, refused = answer(capsys, *words, "--adjust", "objective=other")
    assert (status, refused["refused"]) == (3, "sealed")


def test_a_dry_run_writes_no_run(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`plan --dry-run` checks everything and says how to plan for good."""
    assert main(["plan", str(root / "spec.yaml"), "--dry-run", "--root", str(root)]) == 0
    assert f"Next: {program()} plan {root / 'spec.yaml'}" in capsys.readouterr().out
    assert list(list_runs(root)) == []


def test_approval_needs_a_waiting_checkpoint(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`approve` shows a report, and opens the checkpoint by its digest, once, with the reason in the ledger."""
    at = ("--root", str(root))
    (root / "spec.yaml").write_text((root / "spec.yaml").read_text() + "approvals: [A]\n")
    status, planned = answer(capsys, "plan", str(root / "spec.yaml"), *at)
    assert planned["status"] == "awaiting_approval"
    run_id = planned["run_id"]
    assert main(["execute", run_id, *at]) == 3
    capsys.readouterr()
    status, shown = answer(capsys, "approve", run_id, "--reason", "looked at the plan", *at)
    assert (status, shown["digest"]) == (3, digest_json(shown["report"]))
    by = ("--digest", shown["digest"])
    status, refused = answer(capsys, "approve", run_id, "--reason", "  ", *by, *at)
    assert (status, refused["refused"]) == (3, "invalid_argument")
    status, approved = answer(capsys, "approve", run_id, "--reason", "looked at the plan", *by, *at)
    assert (status, approved["status"]) == (0, "planned")
    status, refused = answer(capsys, "approve", run_id, "--reason", "again", *by, *at)
    assert (status, refused["refused"]) == (3, "not_allowed_now")
    (run,) = list_runs(root)
    last = list(Ledger(run).log.entries())[-1]
    assert (last["event"], last["checkpoint"], last["reason"]) == ("approved", "A", "looked at the plan")
    assert str(last["actor"]).startswith("person:")
    assert last["report_sha256"] == shown["digest"]
    (kept,) = [entry for entry in Ledger(run).detail("decision").entries() if entry["event"] == "approved"]
    assert kept["report"] == shown["report"]


def test_a_report_that_changed_voids_the_approval(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was shown is what is approved: a sealed file that is edited after that gives another digest."""
    at = ("--root", str(root))
    (root / "spec.yaml").write_text((root / "spec.yaml").read_text() + "approvals: [B]\n")
    assert main(["run", str(root / "spec.yaml"), *at]) == 4
    (run,) = list_runs(root)
    capsys.readouterr()
    assert main(["approve", run.run_id, *at]) == 3
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 80 for line in lines[:-1])
    text = "\n".join(lines)
    for said in (
        "that checkpoint B begins",
        "A/noop: pass",
        "0 configurations tried, nothing adjusted",
        "holds together",
    ):
        assert said in text
    digest = next(line.split()[1] for line in lines if line.startswith("Digest"))
    result = run.path / "A/analysis/noop/result.txt"
    whole = result.read_text()
    result.write_text("better")
    status, refused = answer(capsys, "approve", run.run_id, "--reason", "seen", "--digest", digest, *at)
    assert (status, refused["refused"]) == (3, "not_allowed_now")
    _, shown = answer(capsys, "approve", run.run_id, *at)
    assert shown["digest"] in refused["message"]
    assert "A/analysis/noop/result.txt" in shown["report"]["problems"][0]
    assert Ledger(run).read().status == "awaiting_approval"
    result.write_text(whole)
    status, refused = answer(capsys, "approve", run.run_id, "--reason", "seen", "--digest", digest[:8], *at)
    assert (status, refused["refused"]) == (3, "invalid_argument")
    status, approved = answer(capsys, "approve", run.run_id, "--reason", "seen", "--digest", digest[:12], *at)
    assert (status, approved["status"]) == (0, "planned")
    assert main(["verify", run.run_id, *at]) == 0


def test_at_a_terminal_a_person_is_shown_and_asked(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No is the default; yes, with a reason, approves what is on the screen."""
    at = ("--root", str(root))
    (root / "spec.yaml").write_text((root / "spec.yaml").read_text() + "approvals: [A]\n")
    _, planned = answer(capsys, "plan", str(root / "spec.yaml"), *at)

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal("\n"))
    assert main(["approve", planned["run_id"], *at]) == 3
    assert "Nothing was approved." in capsys.readouterr().out
    monkeypatch.setattr("sys.stdin", Terminal("y\nthe plan is sound\n"))
    assert main(["approve", planned["run_id"], *at]) == 0
    (run,) = list_runs(root)
    last = list(Ledger(run).log.entries())[-1]
    assert (last["event"], last["reason"]) == ("approved", "the plan is sound")


def test_a_blocked_step_leaves_with_4(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`execute` on a step that fails for good says why and leaves with 4."""
    at = ("--root", str(root))
    (root / "spec.yaml").write_text((root / "spec.yaml").read_text().replace("[noop]", "[broken]"))
    _, planned = answer(capsys, "plan", str(root / "spec.yaml"), *at)
    status, executed = answer(capsys, "execute", planned["run_id"], *at)
    assert (status, executed["status"]) == (4, "blocked")
    assert "status 3" in executed["blocked"]["error"]
