"""Find the steps of a run that were judged, with the question that their gates were asked and what they answered."""

from collections.abc import Mapping

from stagewright.gates.proving.protocol import JudgedStep, KnownFinding
from stagewright.state.chain import ChainedLog
from stagewright.state.custom_gate import CommandGate
from stagewright.state.events import StepValidated
from stagewright.state.run_directory import RunDirectory
from stagewright.state.run_state import split_step
from stagewright.state.spec.goal import Checkpoint
from stagewright.tools.gate_request import gate_request, sealed_elsewhere
from stagewright.tools.verification.fold import FoldedLedger, Recorded

__all__ = ["judged_steps"]


def judged_steps(
    run: RunDirectory, folded: FoldedLedger, checkpoint: Checkpoint | None, commands: Mapping[str, CommandGate]
) -> tuple[JudgedStep, ...]:
    """Return the judged steps of one checkpoint, in their order.

    A step that was executed again since and not judged is none of them: the results that were judged are not there.

    Parameters
    ----------
    checkpoint
        Which one; None is the last that has a judged step.
    commands
        The gates that the operator registers as commands, by name.
    """
    newest: dict[str, tuple[Recorded, int]] = {}
    heard = 0  # entries of validation.log that an earlier verdict has anchored
    for item in folded.recorded:
        if isinstance(item.event, StepValidated):
            newest[str(item.event.step)] = (item, heard)
            heard = _anchored(item)
    last = folded.state
    if last is None:
        return ()
    present = {
        step: found
        for step, found in newest.items()
        if step in last.sealed and last.sealed[step].attempt == found[0].state.attempt
    }
    wanted = checkpoint or max((split_step(step)[0] for step in present), default=None)
    steps: list[JudgedStep] = []
    for step in last.steps:
        if step not in present or split_step(step)[0] != wanted:
            continue
        item, before = present[step]
        asked = gate_request(run, item.state, commands)
        elsewhere = tuple(sealed_elsewhere(run, last, step))
        asked = asked.model_copy(update={"sealed_elsewhere": elsewhere})
        steps.append(JudgedStep(asked=asked, recorded=_recorded(run, before, _anchored(item))))
    return tuple(steps)


def _anchored(item: Recorded) -> int:
    anchors = item.entry.get("anchors")
    head = anchors.get("validation") if isinstance(anchors, dict) else None
    seq = head.get("seq") if isinstance(head, dict) else None
    return seq if isinstance(seq, int) else 0


def _recorded(run: RunDirectory, after: int, last: int) -> tuple[KnownFinding, ...]:
    found: list[KnownFinding] = []
    for entry in ChainedLog(run.log("validation")).entries():
        seq = entry.get("seq")
        if isinstance(seq, int) and after < seq <= last and entry.get("event") == "finding":
            facts = {name: entry.get(name) for name in ("gate", "subject", "severity")}
            found.append(KnownFinding.model_validate(facts))
    return tuple(found)
