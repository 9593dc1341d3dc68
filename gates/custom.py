"""Run the gates that a run sealed and that are not built in, and miss those that are gone.

What judges a run is settled when it is planned. A gate that was there then and is not any more, or is other code by
now, has not judged: that is an error which names it, never a pass. One that came later judges later runs.
"""

from collections.abc import Iterator

from stagewright.gates.catalogue import known_gates
from stagewright.gates.code_digest import command_digest, object_digest
from stagewright.gates.command_gate import NoAnswer, command_findings
from stagewright.gates.protocol import Finding, GateContext
from stagewright.gates.registered import load_registered, registered_names
from stagewright.state.custom_gate import SealedGate
from stagewright.state.registered import PackageUnusable

__all__ = ["custom_findings"]

AGAIN = (
    "A gate that was sealed with the run has to judge it, by the same code. To pass: register it again as it was and "
    "validate again, or plan a new run under the gates of today."
)


def custom_findings(gate: SealedGate, context: GateContext) -> Iterator[Finding]:
    """Yield the findings of one sealed gate on a step; without an answer, an error finding.

    A built-in gate that the catalogue still has is run by it and yields nothing here.
    """
    if gate.kind == "built_in":
        if gate.name not in known_gates():
            yield _error(gate, context, "this version of Stagewright has no such gate", "the gate that was sealed")
        return
    try:
        code, findings = _run(gate, context)
    except _Gone as gone:
        yield _error(gate, context, str(gone), "the gate that was sealed")
        return
    except (PackageUnusable, NoAnswer) as error:
        yield _error(gate, context, str(error), "an answer")
        return
    for finding in findings:
        yield finding.model_copy(update={"code_sha256": code})


class _Gone(Exception):  # noqa: N818 - says what happened
    """A sealed gate is not there any more, or is not the same."""


def _run(gate: SealedGate, context: GateContext) -> tuple[str, list[Finding]]:
    if gate.kind == "command":
        command = context.asked.commands.get(gate.name)
        if command is None:
            raise _Gone(f"the operator's policy has no [gates.{gate.name}] any more")
        code = _same(gate, command_digest(command))
        return code, [*command_findings(gate.name, command, context)]
    if gate.name not in registered_names():
        raise _Gone("no installed package registers it any more")
    loaded = load_registered(gate.name)
    code = _same(gate, object_digest(loaded))
    return code, _checked(gate.name, [*loaded(context)])


def _same(gate: SealedGate, code: str) -> str:
    if gate.code_sha256 != code:
        sealed = (gate.code_sha256 or "none")[:12]
        raise _Gone(f"its code was changed since the run was planned (sha256 {sealed} then, {code[:12]} now)")
    return code


def _checked(name: str, findings: list[object]) -> list[Finding]:
    """Return what a package's gate yielded, if all of it are findings of that gate."""
    kept = [finding for finding in findings if isinstance(finding, Finding) and finding.gate == name]
    if not findings or len(kept) < len(findings):
        odd = next((item for item in findings if item not in kept), None)
        what = "nothing" if not findings else f"{odd!r}"[:200]
        raise NoAnswer(f"it answered {what}, where each answer is a Finding of the gate {name!r}")
    return kept


def _error(gate: SealedGate, context: GateContext, measured: str, threshold: str) -> Finding:
    return Finding(
        gate=gate.name,
        subject=context.asked.step,
        severity="error",
        measured=measured,
        threshold=threshold,
        reason=AGAIN,
        code_sha256=gate.code_sha256,
    )
