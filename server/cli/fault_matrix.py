"""Show what became of each fault: a matrix of faults and gates for 80 columns, and what a person has to know of it."""

from collections.abc import Iterable, Iterator
from string import ascii_letters
from textwrap import wrap

from stagewright.gates.proving.protocol import Trial
from stagewright.tools.prove_gates import Proof

__all__ = ["matrix_lines", "summary_lines"]

Line = tuple[str, str | None]
WIDTH = 80
NAME = 38
CAUGHT, ALSO, BLIND, QUIET = "X", "+", "!", "."


def matrix_lines(proof: Proof) -> Iterator[Line]:
    """Yield a legend of the gates and a row for each fault that was tried, in all steps together."""
    letters = dict(zip(proof.gates, ascii_letters, strict=False))
    gap = " " if NAME + 2 * len(letters) <= WIDTH else ""
    yield f"{proof.run_id}: {', '.join(proof.steps)}", "bold"
    legend = [f"{letter} {gate}" for gate, letter in letters.items()]
    yield from ((line, None) for line in wrap("   ".join(legend), WIDTH))
    yield "", None
    yield f"{'fault':{NAME}}{gap.join(letters.values())}", "bold"
    for trials in _by_fault(trial for trial in proof.trials if trial.result != "not_applicable"):
        row = gap.join(_mark(trials, gate) for gate in letters)
        wrong = any(trial.result in {"blind", "cried"} for trial in trials)
        yield f"{trials[0].fault[: NAME - 1]:{NAME}}{row}", "red" if wrong else None
    yield "", None
    yield f"{CAUGHT} its own gate fired   {ALSO} fired besides it   {BLIND} blind   {QUIET} found nothing new", "dim"


def summary_lines(proof: Proof) -> Iterator[Line]:
    """Yield what was wrong, what could not be tried and why, which gates are unproven, and how many were caught."""
    for trial in proof.trials:
        if trial.result == "blind":
            yield f"blind: {trial.step}: {trial.fault}: {trial.gate} did not see it ({trial.said})", "red"
        elif trial.result == "cried":
            yield f"cried wolf: {trial.step}: {trial.fault}: {trial.said}", "red"
    applied = {trial.fault for trial in proof.trials if trial.result != "not_applicable"}
    for fault, reasons in _not_tried(proof, applied).items():
        yield f"not tried: {fault}: {reasons}", "dim"
    if proof.untried:
        yield f"gates with no fault that applies to this run: {', '.join(proof.untried)}", "yellow"
    if proof.unproven:
        yield f"gates that no fault belongs to: {', '.join(proof.unproven)}", "yellow"
    faults = [trial for trial in proof.trials if trial.gate]
    names = {trial.fault for trial in faults}
    blind = {trial.fault for trial in faults if trial.result == "blind"}
    controls = [trial for trial in proof.trials if not trial.gate]
    cried = sum(trial.result == "cried" for trial in controls)
    tried = names & applied
    caught = f"{len(tried)} of {len(names)} faults could be tried: {len(tried - blind)} caught, {len(blind)} not."
    quiet = f"{len(controls) - cried} of {len(controls)} clean and A/A copies passed as the original did."
    yield f"{caught} {quiet}", "green" if proof.holds else "red"


def _by_fault(trials: Iterable[Trial]) -> Iterator[list[Trial]]:
    """Yield the trials of each fault, the controls first."""
    found: dict[str, list[Trial]] = {}
    for trial in sorted(trials, key=lambda trial: bool(trial.gate)):
        found.setdefault(trial.fault, []).append(trial)
    yield from found.values()


def _mark(trials: list[Trial], gate: str) -> str:
    if any(trial.gate == gate and trial.result == "blind" for trial in trials):
        return BLIND
    if any(trial.gate == gate for trial in trials):
        return CAUGHT
    fired = any(gate in trial.fired for trial in trials)
    if not fired:
        return QUIET
    return ALSO if trials[0].gate else BLIND  # on a clean copy no gate may fire


def _not_tried(proof: Proof, applied: set[str]) -> dict[str, str]:
    """Return each fault that applied to no step, with its reasons."""
    reasons: dict[str, list[str]] = {}
    for trial in proof.trials:
        if trial.result == "not_applicable" and trial.fault not in applied:
            told = reasons.setdefault(trial.fault, [])
            told += [trial.said] if trial.said not in told else []
    return {fault: "; ".join(told) for fault, told in reasons.items()}
