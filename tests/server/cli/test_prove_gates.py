"""`stagewright prove-gates` on a finished run: every fault by its own gate, and the run left as it was."""

import json
from pathlib import Path

import pytest

from stagewright.server.cli import main
from stagewright.state.canonical import digest_file
from stagewright.state.run_directory import RunDirectory


def _files(run: RunDirectory) -> dict[str, tuple[str, int]]:
    return {
        str(path): (digest_file(path), path.stat().st_mtime_ns)
        for path in run.path.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def test_every_fault_of_a_finished_run_is_caught(finished: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    """A matrix of at most 80 columns, what could not be tried and why, a count; not a byte of the run changes."""
    before = _files(finished)
    assert main(["prove-gates", str(finished.path)]) == 0
    text = capsys.readouterr().out
    lines = text.splitlines()
    matrix = lines[: next(number for number, line in enumerate(lines) if line.startswith("X its own gate"))]
    assert max(map(len, matrix)) <= 80
    assert "C/noop" in lines[0]
    assert "edited RUN_STATE.json" in text
    assert "not tried: NaN in an embedding: the run has no judged plan0 or plan1a or plan1b or plan1c" in text
    assert ", 0 not. 4 of 4 clean and A/A copies passed as the original did." in " ".join(lines[-2:])
    assert _files(finished) == before


def test_a_program_reads_every_trial(finished: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json: fault, gate, step, result and what fired; every fault of the record is named by its file."""
    assert main(["prove-gates", str(finished.path), "--checkpoint", "A", "--json"]) == 0
    proof = json.loads(capsys.readouterr().out)
    assert (proof["holds"], proof["steps"], proof["unproven"]) == (True, ["A/noop"], [])
    results = {(trial["step"], trial["fault"]): trial for trial in proof["trials"]}
    assert results["record", "deleted finding"]["said"].startswith("logs/validation.log:2")
    assert results["A/noop", "one bit flipped"]["fired"] == {"artifact_integrity": "fail"}
    assert results["", "constant prediction"]["result"] == "not_applicable"
    record = [trial["result"] for trial in proof["trials"] if trial["step"] == "record"]
    assert record.count("caught") == 19


def test_a_run_that_no_longer_passes_as_it_did_fails_the_proof(
    finished: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    """A copy of a run whose files changed since is judged otherwise than the run was, and that is said."""
    (finished.path / "C/analysis/noop/result.txt").write_text("more", encoding="utf-8")
    assert main(["prove-gates", str(finished.path)]) == 1
    assert "cried wolf: C/noop: clean copy: artifact_integrity: C/analysis/noop/result.txt: fail here" in (
        " ".join(capsys.readouterr().out.split())
    )


def test_a_run_whose_outcome_was_edited_is_not_proven(
    finished: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the stage said it did is not there any more, so nobody can tell what the gates were asked."""
    (outcome,) = finished.path.glob("attempts/*_C_noop/outcome.json")
    outcome.write_text(outcome.read_text(encoding="utf-8") + " ", encoding="utf-8")
    assert main(["prove-gates", str(finished.path)]) == 3
    assert "outcome.json is not what the ledger sealed" in " ".join(capsys.readouterr().err.split())


def test_without_a_judged_step_there_is_nothing_to_prove(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Refused with the call that leads on; so is a run whose ledger does not hold, and a checkpoint that is none."""
    assert main(["plan", str(root / "spec.yaml"), "--root", str(root), "--json"]) == 0
    run_id = json.loads(capsys.readouterr().out)["run_id"]
    assert main(["prove-gates", run_id, "--root", str(root)]) == 3
    assert "no step of" in capsys.readouterr().err
    ledger = root / "experiments" / run_id / "logs" / "agent_run.log"
    ledger.write_bytes(ledger.read_bytes().replace(b"planned", b"plannet", 1))
    assert main(["prove-gates", run_id, "--root", str(root)]) == 3
    assert "does not hold" in capsys.readouterr().err
    assert main(["prove-gates", run_id, "--root", str(root), "--checkpoint", "D"]) == 2
