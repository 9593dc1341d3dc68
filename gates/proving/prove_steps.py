"""Spoil copies of steps, one fault at a time, and look which gates fire."""

import shutil
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stagewright.gates.__main__ import run_gates
from stagewright.gates.protocol import Finding, GateRequest
from stagewright.gates.proving.catalogue import CLEAN, REWRITTEN, anywhere, faults_of
from stagewright.gates.proving.fault_entry import DoesNotApply, FaultEntry
from stagewright.gates.proving.protocol import KnownFinding, ProvingQuestion, Trial
from stagewright.gates.proving.rewrite_unchanged import rewrite_unchanged
from stagewright.gates.proving.spoiled_step import SpoiledStep
from stagewright.state.records import Verdict
from stagewright.state.run_copy import link_copy
from stagewright.state.run_state import split_step
from stagewright.state.snapshot import write_atomically

__all__ = ["prove_steps"]

WORSE: Mapping[Verdict, int] = {"pass": 0, "warn": 1, "fail": 2, "error": 3}
SHOWN = 3


@dataclass
class _Progress:
    """Says in a file how many copies were judged."""

    place: Path
    total: int
    done: int = 0

    def at(self, what: str) -> None:
        write_atomically(self.place, f"{self.done}\n{self.total}\n{what}\n")
        self.done += 1


def prove_steps(question: ProvingQuestion) -> tuple[Trial, ...]:
    """Judge the clean copy of each step, its rewritten copy, and a copy for each fault of its stage.

    A fault of every stage is tried in the first step that has what it spoils: the same code judges it in all of them.

    Parameters
    ----------
    question
        The steps, all in one copy of a run; it is only linked to.
    """
    stages = {step.asked.step: split_step(step.asked.step)[1] for step in question.steps}
    n_faults = len(anywhere()) + sum(len(faults_of(stage)) for stage in stages.values())
    progress = _Progress(Path(question.progress), 2 * len(stages) + n_faults)
    trials: list[Trial] = []
    open_yet = [*anywhere()]
    for step in question.steps:
        name = step.asked.step
        progress.at(f"{name}: {CLEAN}")
        clean = run_gates(step.asked)
        trials.append(_control(CLEAN, name, clean, step.recorded, "the record"))
        progress.at(f"{name}: {REWRITTEN}")
        with _copied(step.asked, Path(question.scratch)) as copy:
            trials.append(_control(REWRITTEN, name, _judged(copy, rewrite_unchanged), _known(clean), "the clean copy"))
        for entry in (*open_yet, *faults_of(stages[name])):
            progress.at(f"{name}: {entry.name}")
            with _copied(step.asked, Path(question.scratch)) as copy:
                trials.append(_trial(entry, copy, clean))
            if entry in open_yet and trials[-1].result != "not_applicable":
                open_yet.remove(entry)
    return tuple(trials)


@contextmanager
def _copied(asked: GateRequest, scratch: Path) -> Iterator[GateRequest]:
    first = Path(asked.run)
    place = scratch / "spoilt" / first.name
    link_copy(first, place)
    try:
        yield asked.model_copy(update={"run": str(place)})
    finally:
        shutil.rmtree(place)


def _judged(asked: GateRequest, spoil: Callable[[SpoiledStep], object], *, sealed: bool = True) -> tuple[Finding, ...]:
    step = SpoiledStep(asked)
    spoil(step)
    if sealed:
        step.reseal()
    return run_gates(step.asked)


def _trial(entry: FaultEntry, asked: GateRequest, clean: Iterable[Finding]) -> Trial:
    try:
        found = _judged(asked, entry.load(), sealed=entry.sealed)
    except DoesNotApply as reason:
        return Trial(fault=entry.name, gate=entry.gate, step=asked.step, result="not_applicable", said=str(reason))
    except Exception as error:  # noqa: BLE001 - the rim: a fault that cannot be made proves nothing, and that is said
        traceback.print_exc()
        said = f"the fault could not be made: {type(error).__name__}: {error}"
        return Trial(fault=entry.name, gate=entry.gate, step=asked.step, result="blind", said=said)
    before = {_facts(finding) for finding in clean}
    new = [finding for finding in found if finding.severity != "pass" and _facts(finding) not in before]
    fired: dict[str, Verdict] = {}
    for finding in new:
        fired[finding.gate] = max(finding.severity, fired.get(finding.gate, "pass"), key=WORSE.__getitem__)
    caught = WORSE[fired.get(entry.gate, "pass")] >= WORSE[entry.severity]
    own = [f"{finding.subject}: {finding.measured}" for finding in new if finding.gate == entry.gate]
    said = own[0] if own else f"{entry.gate} found nothing new"
    result = "caught" if caught else "blind"
    return Trial(fault=entry.name, gate=entry.gate, step=asked.step, result=result, fired=fired, said=said)


def _control(name: str, step: str, found: Iterable[Finding], expected: Iterable[KnownFinding], of_whom: str) -> Trial:
    """Compare two judgements of the same results: what a gate said of them once, it has to say again.

    A gate that did not judge then, being newer than the record, may pass and no more.
    """
    now, then = [*_known(found)], [*expected]
    heard = {item.gate for item in then}
    new = [item for item in now if item not in then and (item.gate in heard or item.severity != "pass")]
    lost = [item for item in then if item not in now]
    differs = sorted([*new, *lost], key=lambda item: (-WORSE[item.severity], item.gate, item.subject))
    told = [
        f"{item.gate}: {item.subject}: {item.severity} here, not in {of_whom}"
        if item in new
        else f"{item.gate}: {item.subject}: {item.severity} in {of_whom}, not here"
        for item in differs[:SHOWN]
    ]
    fired: dict[str, Verdict] = {item.gate: item.severity for item in reversed(differs)}
    return Trial(
        fault=name, gate="", step=step, result="cried" if differs else "quiet", fired=fired, said="; ".join(told)
    )


def _known(findings: Iterable[Finding]) -> tuple[KnownFinding, ...]:
    return tuple(KnownFinding(gate=item.gate, subject=item.subject, severity=item.severity) for item in findings)


def _facts(finding: Finding) -> tuple[str, str, str, str]:
    return finding.gate, finding.subject, finding.severity, finding.measured
