"""The gates' child process: ``python -P -m stagewright.gates REQUEST.json REPORT.json``.

It reads a `GateRequest`, runs the gates of the step and writes a `GateReport`; it writes nothing else. It exits with 0
when it could judge, whatever it found, and with 2 when it could not. With the word ``list`` before the paths it answers
a `GatesWanted` with a `GateList`.
"""

import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from stagewright.gates.artifact_integrity import sealed_faults
from stagewright.gates.catalogue import gates_for, known_gates
from stagewright.gates.code_digest import built_in_digest
from stagewright.gates.custom import custom_findings
from stagewright.gates.gate_entry import GateEntry
from stagewright.gates.list_gates import GatesWanted, list_gates
from stagewright.gates.protocol import Finding, GateContext, GateReport, GateRequest
from stagewright.state.artifacts import read_outcome
from stagewright.state.lifeline import end_with_parent
from stagewright.state.own_limits import limit_myself
from stagewright.state.snapshot import write_atomically
from stagewright.state.step_request import StepRequest

__all__ = ["main", "run_gates"]

USAGE = "usage: python -P -m stagewright.gates [list] REQUEST.json REPORT.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge one step and return the exit status."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    listing = given[:1] == ["list"]
    given = given[listing:]
    if len(given) != 2:  # noqa: PLR2004 - the two paths of the usage line
        sys.stderr.write(f"{USAGE}\n")
        return 2
    is_child = end_with_parent()
    started = time.monotonic()
    try:
        if listing:
            found = list_gates(GatesWanted.model_validate_json(Path(given[0]).read_bytes()))
            write_atomically(Path(given[1]), found.model_dump_json(indent=1) + "\n")
            return 0
        asked = GateRequest.model_validate_json(Path(given[0]).read_bytes())
        if is_child:
            limit_myself(asked.limits.memory_bytes)
        findings = run_gates(asked)
        report = GateReport(findings=findings, elapsed_s=time.monotonic() - started)
        write_atomically(Path(given[1]), report.model_dump_json(indent=1) + "\n")
    except (OSError, ValidationError) as error:
        sys.stderr.write(f"the step could not be judged: {error}\n")
        return 2
    return 0


def run_gates(asked: GateRequest) -> tuple[Finding, ...]:
    """Run the gates of a step and return what they found.

    When a file differs from what was sealed, the gates after `artifact_integrity` are not run: what they would measure
    is not what the step produced.
    """
    run = Path(asked.run)
    if faults := tuple(sealed_faults(run, asked)):
        code = built_in_digest(sealed_faults.__module__)
        return tuple(fault.model_copy(update={"code_sha256": code}) for fault in faults)
    context = GateContext(
        run=run,
        asked=asked,
        request=StepRequest.model_validate_json((run / asked.request).read_bytes()),
        outcome=read_outcome(run, asked.artifacts),
    )
    if context.request.step != asked.step or context.outcome.step != asked.step:
        wrong = f"request of {context.request.step}, outcome of {context.outcome.step}"
        return (_error("artifact_integrity", asked.step, wrong, f"both of {asked.step}"),)
    findings: list[Finding] = []
    for entry in gates_for(context.request.stage):
        found = _run_gate(entry.name, partial(_built_in, entry), context, entry.module)
        findings += found
        if entry.name == "artifact_integrity" and any(finding.severity != "pass" for finding in found):
            return tuple(findings)
    for gate in asked.sealed:
        if gate.judges(context.request.stage) and (gate.kind != "built_in" or gate.name not in known_gates()):
            findings += _run_gate(gate.name, partial(custom_findings, gate), context)
    return tuple(findings)


def _built_in(entry: GateEntry, context: GateContext) -> Iterator[Finding]:
    yield from entry.load()(context)


def _run_gate(
    name: str, run: Callable[[GateContext], Iterator[Finding]], context: GateContext, module: str | None = None
) -> list[Finding]:
    findings: list[Finding] = []
    try:
        findings.extend(run(context))
    except Exception as error:  # noqa: BLE001 - the rim: a gate that fails has not judged, and the verdict says so
        traceback.print_exc()
        findings.append(_error(name, context.asked.step, f"{type(error).__name__}: {error}", "a measurement"))
    if not findings:
        findings.append(_error(name, context.asked.step, "nothing to measure", "at least one finding"))
    code = None if module is None else built_in_digest(module)
    return findings if code is None else [item.model_copy(update={"code_sha256": code}) for item in findings]


def _error(gate: str, subject: str, measured: str, threshold: str) -> Finding:
    return Finding(
        gate=gate,
        subject=subject,
        severity="error",
        measured=measured,
        threshold=threshold,
        reason="A gate that could not measure has not passed. To pass: settle what it names, or report it if the "
        "gate itself is wrong, and validate again.",
    )


if __name__ == "__main__":
    sys.exit(main())
