"""Prove on copies of a run that its gates see: every fault by its own gate, and nothing where nothing is wrong."""

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from stagewright.gates.catalogue import gates_for, known_gates
from stagewright.gates.proving.catalogue import FAULTS, unproven_gates
from stagewright.gates.proving.protocol import JudgedStep, ProvingAnswer, ProvingQuestion, Trial
from stagewright.state.canonical import digest_file
from stagewright.state.custom_gate import CommandGate
from stagewright.state.refusals import Refusal
from stagewright.state.run_copy import copy_run
from stagewright.state.run_directory import RunDirectory
from stagewright.state.run_state import next_call, split_step
from stagewright.state.spec.goal import Checkpoint
from stagewright.tools.children import ChildFailed, ask_child
from stagewright.tools.proving.judged_steps import judged_steps
from stagewright.tools.proving.prove_record import RECORD, VERIFY, prove_record
from stagewright.tools.replies import Tick
from stagewright.tools.verification.fold import FoldedLedger
from stagewright.tools.verification.record import read_ledger

__all__ = ["Proof", "prove_gates"]

TIMEOUT_S = 4 * 3600.0


class Proof(BaseModel):
    """What was tried on copies of a run.

    Attributes
    ----------
    steps
        The steps whose results were spoilt.
    gates
        The gates that judge one of them, in the order of the catalogue, and ``verify``.
    unproven
        Gates of the catalogue that no fault belongs to, in whatever run.
    untried
        Gates that judge one of the steps and of whose faults none applied to this run.
    """

    model_config = ConfigDict(frozen=True)

    run_id: str
    steps: tuple[str, ...]
    gates: tuple[str, ...]
    trials: tuple[Trial, ...]
    unproven: tuple[str, ...]
    untried: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether no gate was blind and none cried wolf."""
        return not any(trial.result in {"blind", "cried"} for trial in self.trials)


def prove_gates(
    run: RunDirectory, commands: Mapping[str, CommandGate], checkpoint: Checkpoint | None = None
) -> Iterator[Tick | Proof]:
    """Copy a run, spoil copies of the copy, one fault at a time, and judge each; yield signs of life, then the proof.

    The run itself is only read. What the gates are asked is what they were asked when the run was judged.

    Parameters
    ----------
    run
        A run that is not at work now, with at least one judged step.
    commands
        The gates that the operator registers as commands, by name.
    checkpoint
        Whose steps are spoilt; None is the last that has a judged step.

    Raises
    ------
    Refusal
        `not_allowed_now` when a step runs or none was judged; `damaged` when the ledger does not hold, or no answer
        comes from the child.
    """
    _, folded = read_ledger(run)
    steps = _provable(run, folded, checkpoint, commands)
    with tempfile.TemporaryDirectory(prefix="stagewright-proof-") as folder:
        scratch = Path(folder)
        yield Tick(done=0, total=None, message=f"copying {run.run_id}")
        first = RunDirectory(scratch / "first" / run.run_id)
        copy_run(run.path, first.path)
        trials: list[Trial] = []
        for item in _in_the_child(scratch, first, steps):
            if isinstance(item, Tick):
                yield item
            else:
                trials += item.trials
        for trial in prove_record(run, first, scratch):
            trials.append(trial)
            yield Tick(done=len(trials), total=None, message=f"{RECORD}: {trial.fault}")
    names = tuple(step.asked.step for step in steps)
    trials += _of_other_stages({split_step(name)[1] for name in names})
    heard = {entry.name for name in names for entry in gates_for(split_step(name)[1])}
    judging = tuple(gate for gate in known_gates() if gate in heard)
    tried = {trial.gate for trial in trials if trial.result != "not_applicable"}
    yield Proof(
        run_id=run.run_id,
        steps=names,
        gates=(*judging, VERIFY),
        trials=tuple(trials),
        unproven=unproven_gates(),
        untried=tuple(gate for gate in judging if gate not in tried and gate not in unproven_gates()),
    )


def _provable(
    run: RunDirectory, folded: FoldedLedger, checkpoint: Checkpoint | None, commands: Mapping[str, CommandGate]
) -> tuple[JudgedStep, ...]:
    state = folded.state
    if state is None or not folded.holds:
        what = f"the ledger of {run.run_id} does not hold, so nobody can tell what was judged"
        raise Refusal("damaged", f"{what}: `stagewright verify {run.run_id}` names the line.", run_id=run.run_id)
    if state.status == "running":
        what = f"{state.step} is running: its files move. Prove the gates when it is done."
        raise Refusal("not_allowed_now", what, status=state.status, run_id=run.run_id, next_call=next_call(state))
    steps = judged_steps(run, folded, checkpoint, commands)
    if not steps:
        where = "" if checkpoint is None else f" of checkpoint {checkpoint}"
        what = f"no step{where} of {run.run_id} was judged yet, so there is nothing to spoil."
        raise Refusal("not_allowed_now", what, status=state.status, run_id=run.run_id, next_call=next_call(state))
    for step in steps:
        _check_sealed(run, step)
    return steps


def _check_sealed(run: RunDirectory, step: JudgedStep) -> None:
    """Refuse a step of which the request or the outcome is not what the ledger sealed: nobody can tell what it was."""
    asked = step.asked
    for name, sealed in (
        (asked.request, asked.request_sha256),
        (asked.artifacts.outcome, asked.artifacts.outcome_sha256),
    ):
        path = run.path / name
        if not path.is_file() or digest_file(path) != sealed:
            what = f"{name} is not what the ledger sealed, so {asked.step} cannot be judged as it was"
            raise Refusal("damaged", f"{what}: `stagewright verify {run.run_id}` names it.", run_id=run.run_id)


def _of_other_stages(stages: set[str]) -> Iterator[Trial]:
    """Yield the faults of stages that the run does not have: they count neither way, and are named."""
    for entry in FAULTS:
        if entry.stages and not stages & {*entry.stages}:
            said = f"the run has no judged {' or '.join(entry.stages)}"
            yield Trial(fault=entry.name, gate=entry.gate, step="", result="not_applicable", said=said)


def _in_the_child(scratch: Path, first: RunDirectory, steps: tuple[JudgedStep, ...]) -> Iterator[Tick | ProvingAnswer]:
    progress = scratch / "progress"
    copied = tuple(
        step.model_copy(update={"asked": step.asked.model_copy(update={"run": str(first.path)})}) for step in steps
    )
    question = ProvingQuestion(scratch=str(scratch), progress=str(progress), steps=copied)
    try:
        for item in ask_child("stagewright.gates.proving", None, question, ProvingAnswer, TIMEOUT_S):
            yield _at(progress, item) if isinstance(item, Tick) else item
    except ChildFailed as error:
        raise Refusal("internal", f"the child that spoils copies gave no answer: {error.last_line}") from error


def _at(progress: Path, tick: Tick) -> Tick:
    try:
        done, total, what = progress.read_text(encoding="utf-8").splitlines()
        return Tick(done=float(done), total=float(total), message=what)
    except (OSError, ValueError):
        return tick  # the child has not begun
