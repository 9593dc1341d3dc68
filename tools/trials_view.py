"""The table of every configuration tried: by this run, by attempts that were put aside too, and by others before it."""

from collections.abc import Iterator

from pydantic import JsonValue

from stagewright.state.artifacts import read_outcome
from stagewright.state.chain import Entry
from stagewright.state.ledger import Ledger
from stagewright.state.records import ArtifactSeal
from stagewright.state.run_state import RunState
from stagewright.state.sealed_spec import declared_spec
from stagewright.state.spec.goal import GoalSpec

__all__ = ["trial_rows"]

DONE = ("executed", "validated", "completed", "stopped")


def trial_rows(ledger: Ledger, state: RunState) -> Iterator[JsonValue]:
    """Yield a row for each configuration that an attempt scored, newest attempt first, then those of other runs.

    A row has the step (with its checkpoint), the attempt and the score as it was sealed. `abandoned` says why a row no
    longer stands; a row without it does. Rows of other runs have their run and no score: that run has it.
    """
    study = state.adjustments.applied_to(declared_spec(ledger.run))
    sealed = [entry for entry in ledger.log.entries() if entry.get("artifacts") is not None]
    for entry in reversed(sealed):
        place: dict[str, JsonValue] = {"step": entry["step"], "attempt": entry["attempt"]}
        try:
            trials = read_outcome(ledger.run.path, ArtifactSeal.model_validate(entry["artifacts"])).trials
        except ValueError as error:
            yield place | {"error": str(error)}
            continue
        put_aside = _put_aside(state, entry)
        for trial in trials:
            why = put_aside or _left_out(study, trial)
            yield place | trial | ({} if why is None else {"abandoned": why})
    for run_id, tried in state.tried_before.items():
        for name in tried.configurations:
            yield {"run_id": run_id, "configuration": name, "setting": tried.setting}


def _put_aside(state: RunState, entry: Entry) -> str | None:
    """Return why the result of an attempt no longer stands; None where it is its step's."""
    step, attempt = str(entry["step"]), entry["attempt"]
    newest = state.sealed.get(step)
    if newest is not None and newest.attempt != attempt:
        return f"attempt {newest.attempt} was executed after it"
    if step == state.step and state.status not in DONE:
        return "the step was opened again by an adjustment"
    return None


def _left_out(study: GoalSpec, trial: dict[str, JsonValue]) -> str | None:
    """Return which part of a configuration an adjustment has left out since; None where the study still has it."""
    kept: dict[str, list[str]] = {
        "preprocess": [entry.tag for entry in study.preprocess],
        "method": [*study.reduction.methods],
        "penalty": [*study.classifier.penalties],
    }
    tried = {part: str(trial[part]) for part in kept if part in trial}
    if "penalty" in tried:
        tried["penalty"] = tried["penalty"].partition("_")[0]  # Plan 1C writes elasticnet_0p5
    gone = [f"{part} {value}" for part, value in tried.items() if value not in kept[part]]
    return f"{', '.join(gone)} was left out by an adjustment" if gone else None
