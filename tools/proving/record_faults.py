"""Faults of the record, which `verify` has to name: in logs, in the snapshot, in what was sealed at planning."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from stagewright.gates.proving.fault_entry import DoesNotApply
from stagewright.state.artifacts import OUTCOME
from stagewright.state.attempts import REQUEST
from stagewright.state.chain import ChainedLog
from stagewright.state.ledger import Ledger
from stagewright.state.run_copy import own_file
from stagewright.state.run_directory import RunDirectory
from stagewright.state.snapshot import write_snapshot
from stagewright.state.spec.goal import CHECKPOINTS

__all__ = ["RECORD_FAULTS", "RecordFault"]

LEDGER = "logs/agent_run.log"
VALIDATION = "logs/validation.log"
DECISIONS = "logs/decision.log"
CALLS = "logs/tool_calls.log"
CHAINED = ("at", "seq", "prev", "hash")


@dataclass(frozen=True, slots=True)
class RecordFault:
    """One fault of the record.

    Attributes
    ----------
    names
        The file that `verify` has to name; what it begins with, where the run decides which one it is.
    spoil
        Makes the fault in a copy.
    """

    name: str
    names: str
    spoil: Callable[[RunDirectory], object]


def _edit_decision(run: RunDirectory) -> None:
    _edit_line(run.path / DECISIONS, 0, "message")


def _edit_finding(run: RunDirectory) -> None:
    """Turn the verdict of a gate around, in the line that says what it measured."""
    _edit_line(run.path / VALIDATION, 0, "severity")


def _edit_call(run: RunDirectory) -> None:
    _edit_line(run.path / CALLS, 0, "message")


def _edit_ledger(run: RunDirectory) -> None:
    _edit_line(run.path / LEDGER, 1, "message")


def _drop_finding(run: RunDirectory) -> None:
    _lines(run.path / VALIDATION, lambda lines: lines[:1] + lines[2:], least=3)


def _cut_decisions(run: RunDirectory) -> None:
    _lines(run.path / DECISIONS, lambda lines: lines[:-1], least=1)


def _drop_event(run: RunDirectory) -> None:
    _lines(run.path / LEDGER, lambda lines: lines[:1] + lines[2:], least=3)


def _cut_ledger(run: RunDirectory) -> None:
    _lines(run.path / LEDGER, lambda lines: lines[:-1], least=2)


def _swap_events(run: RunDirectory) -> None:
    _lines(run.path / LEDGER, lambda lines: [lines[0], lines[2], lines[1], *lines[3:]], least=3)


def _forge_verdict(run: RunDirectory) -> None:
    """Append a verdict that nobody gave, as a copy of the last line with another number."""

    def forge(lines: list[bytes]) -> list[bytes]:
        last = json.loads(lines[-1])
        forged = last | {"seq": last["seq"] + 1, "event": "step_validated", "verdict": "pass", "prev": last["hash"]}
        return [*lines, json.dumps(forged, ensure_ascii=False).encode() + b"\n"]

    _lines(run.path / LEDGER, forge, least=1)


def _miscount_findings(run: RunDirectory) -> None:
    """Let a verdict count a pass more than was found, and make the ledger's chain and RUN_STATE.json anew around it."""
    path = run.log("agent_run")
    entries = list(ChainedLog(path).entries())
    verdicts = [number for number, entry in enumerate(entries) if entry.get("event") == "step_validated"]
    if not verdicts:
        raise DoesNotApply("no step was judged")
    gates = entries[verdicts[0]]["gates"]
    if isinstance(gates, dict):
        entries[verdicts[0]]["gates"] = gates | {"passed": int(str(gates["passed"])) + 1}
    again = ChainedLog(path.with_name("again.log"))
    for entry in entries:
        again.append(str(entry["at"]), {key: value for key, value in entry.items() if key not in CHAINED})
    _replace(path, again.path.read_bytes())
    again.path.unlink()
    ledger = Ledger(run)
    write_snapshot(run.snapshot, ledger.fold(), ledger.log.head(), str(entries[-1]["at"]))


def _edit_state(run: RunDirectory) -> None:
    def claim(text: str) -> str:
        document = json.loads(text)
        document |= {"status": "validated", "gates": {"verdict": "pass"}}
        return json.dumps(document, indent=2)

    _text(run.snapshot, claim)


def _edit_spec(run: RunDirectory) -> None:
    _text(run.spec, lambda text: text + "\ngates: {duplicate_axes: {at_most: 1.0}}\n")


def _edit_plan(run: RunDirectory) -> None:
    _text(run.plan, lambda text: text + "\nThe best result is taken.\n")


def _edit_manifest(run: RunDirectory) -> None:
    _text(run.manifest, lambda text: text.replace("status:", "status: better #", 1))


def _edit_request(run: RunDirectory) -> None:
    _text(_in_attempts(run, REQUEST), lambda text: text + "\n")


def _edit_outcome(run: RunDirectory) -> None:
    _text(_in_attempts(run, OUTCOME), lambda text: text + "\n")


def _edit_artifact(run: RunDirectory) -> None:
    path = own_file(_an_artifact(run))
    with path.open("ab") as file:
        file.write(b" ")


def _add_file(run: RunDirectory) -> None:
    (_an_artifact(run).parent / "better_results.csv").write_text("auc\n1.0\n", encoding="utf-8")


RECORD_FAULTS: tuple[RecordFault, ...] = (
    RecordFault("edited decision", DECISIONS, _edit_decision),
    RecordFault("edited finding", VALIDATION, _edit_finding),
    RecordFault("edited tool call", CALLS, _edit_call),
    RecordFault("edited line of the ledger", LEDGER, _edit_ledger),
    RecordFault("deleted finding", VALIDATION, _drop_finding),
    RecordFault("deleted last decision", LEDGER, _cut_decisions),
    RecordFault("deleted line of the ledger", LEDGER, _drop_event),
    RecordFault("deleted end of the ledger", "RUN_STATE.json", _cut_ledger),
    RecordFault("lines of the ledger swapped", LEDGER, _swap_events),
    RecordFault("forged verdict", LEDGER, _forge_verdict),
    RecordFault("miscounted findings in a new chain", LEDGER, _miscount_findings),
    RecordFault("edited RUN_STATE.json", "RUN_STATE.json", _edit_state),
    RecordFault("edited spec", "spec.yaml", _edit_spec),
    RecordFault("edited plan", "PLAN.md", _edit_plan),
    RecordFault("edited manifest", "run_manifest.yaml", _edit_manifest),
    RecordFault("edited request of an attempt", "attempts/", _edit_request),
    RecordFault("edited outcome of an attempt", "attempts/", _edit_outcome),
    RecordFault("artifact edited after the seal", CHECKPOINTS[0], _edit_artifact),
    RecordFault("file that nobody declared", CHECKPOINTS[0], _add_file),
)


def _edit_line(path: Path, number: int, key: str) -> None:
    """Change one field of one line and leave its hash as it is."""

    def edit(lines: list[bytes]) -> list[bytes]:
        entry = json.loads(lines[number])
        changed = {"pass": "fail", "fail": "pass"}.get(str(entry.get(key)), f"{entry.get(key)} (edited)")
        line = json.dumps(entry | {key: changed}, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        return [*lines[:number], line, *lines[number + 1 :]]

    _lines(path, edit, least=number + 1)


def _lines(path: Path, change: Callable[[list[bytes]], list[bytes]], *, least: int) -> None:
    lines = path.read_bytes().splitlines(keepends=True) if path.is_file() else []
    if len(lines) < least:
        raise DoesNotApply(f"{path.name} has {len(lines)} lines")
    _replace(path, b"".join(change(lines)))


def _text(path: Path, change: Callable[[str], str]) -> None:
    if not path.is_file():
        raise DoesNotApply(f"there is no {path.name}")
    _replace(path, change(path.read_text(encoding="utf-8")).encode())


def _replace(path: Path, content: bytes) -> None:
    """Replace a file under its old time: a record that has just changed is looked at again, as one at work."""
    before = path.stat()
    own_file(path).write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _in_attempts(run: RunDirectory, name: str) -> Path:
    found = sorted((run.path / "attempts").glob(f"*/{name}"))
    if not found:
        raise DoesNotApply(f"no attempt has left its {name}")
    return found[0]


def _an_artifact(run: RunDirectory) -> Path:
    found = sorted(path for path in (run.path / CHECKPOINTS[0]).rglob("*") if path.is_file())
    if not found:
        raise DoesNotApply(f"checkpoint {CHECKPOINTS[0]} has no results")
    return found[0]
