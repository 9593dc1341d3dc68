"""The views of a run that `read_state` pages through. Each gives the items of a page and how many there are."""

from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from typing import Literal

from pydantic import JsonValue

from stagewright.gates.catalogue import gates_for
from stagewright.state.artifacts import read_outcome
from stagewright.state.chain import Entry
from stagewright.state.custom_gate import SealedGate
from stagewright.state.ledger import Ledger
from stagewright.state.refusals import LedgerCorrupt
from stagewright.state.run_directory import LOG_NAMES, list_runs
from stagewright.state.run_state import RunState
from stagewright.state.spec import effective_study
from stagewright.tools.attempt_view import look_at_attempt
from stagewright.tools.blocked_view import shown_blocked
from stagewright.tools.merged_log import merged_entries
from stagewright.tools.step_requests import sealed_spec
from stagewright.tools.trials_view import trial_rows
from stagewright.tools.units_of_artifacts import units_of_artifacts

__all__ = ["View", "list_of_runs", "view_items"]

Page = tuple[list[JsonValue], int]
MESSAGE_CHARS = 300


def view_items(ledger: Ledger, state: RunState, view: str, start: int, limit: int) -> Page:
    """Return a page of a view and the number of its items in all."""
    return _VIEWS[view](ledger, state, start, limit)


def list_of_runs(root: Path, start: int, limit: int) -> Page:
    """Return a page of the runs under a root, newest first."""
    runs = list(list_runs(root))
    items: list[JsonValue] = []
    for run in runs[start : start + limit]:
        try:
            state = Ledger(run).read()
        except LedgerCorrupt as error:
            items.append({"run_id": run.run_id, "status": "damaged", "why": str(error)[:MESSAGE_CHARS]})
            continue
        items.append(
            {"run_id": run.run_id, "status": state.status, "step": state.step, "objective": state.objective[:120]},
        )
    return items, len(runs)


def _summary(ledger: Ledger, state: RunState, _start: int, _limit: int) -> Page:
    best = {
        f"{step}: {name}": round(value, 4)
        for step, sealed in state.sealed.items()
        for name, value in sealed.metrics.items()
        if ".best." in name
    }
    steps: list[JsonValue] = [
        {
            "step": step,
            "attempt": state.sealed[step].attempt,
            "verdict": state.sealed[step].verdict,
            "elapsed_s": round(state.sealed[step].elapsed_s, 2),
        }
        for step in state.steps[: state.position + _is_done(state)]
        if step in state.sealed
    ]
    view = look_at_attempt(ledger.run, state)
    summary: dict[str, JsonValue] = {
        "objective": state.objective[:400],
        "run_dir": str(ledger.run.path),
        "attempt": state.attempt,
        "last_completed_step": state.last_completed_step,
        "steps_done": steps,
        "steps_left": [*state.steps[state.position + _is_done(state) :]],
        "k_by_method": dict(state.k_by_method),
        "k_shortlist": {method: [*ks] for method, ks in state.k_shortlist.items()},
        "best": dict(best),
        "parent_run_id": state.parent_run_id,
        "configurations_tried": state.configurations_tried,
        "of_them_in_other_runs": state.inherited_configurations,
        "looked_at_pilot_scores": state.looked,
    }
    if state.holdout is not None:
        put_aside = state.holdout.model_dump(mode="json", exclude={"working"})
        score = None if state.holdout_score is None else state.holdout_score.model_dump(mode="json", exclude_none=True)
        summary["holdout"] = put_aside | {"score": score or "asked for by the decision that completes the run"}
    if state.forecast is not None:
        summary["forecast"] = state.forecast.said()
    if state.forecasts_met:
        summary["forecasts_met"] = [met.said() for met in state.forecasts_met.values()]
    if state.status == "running":
        at_work: list[JsonValue] = [] if view.progress is None else [*view.progress.named(view.now)]
        summary["progress"] = {
            "done": view.done,
            "total": view.total,
            "unit": view.unit,
            "at_work": at_work,
            "elapsed_s": view.elapsed_s,
            "left_s": view.left_s,
        }
    if state.blocked is not None:
        summary["blocked"] = shown_blocked(state.blocked).model_dump(mode="json", exclude_none=True)
    if state.verdict is not None:
        summary["verdict"] = state.verdict
        summary["recommended"] = {"decision": state.recommended, "why": state.recommended_why}
    return [summary], 1


def _is_done(state: RunState) -> bool:
    """Return whether the present step has been executed, by an attempt that no adjustment has put aside."""
    return state.status in ("executed", "validated", "completed")


def _logs(ledger: Ledger, _state: RunState, start: int, limit: int) -> Page:
    # Oldest first: this very call adds an entry, and a page counted from the newest would move with it.
    shown = islice(merged_entries(ledger, LOG_NAMES), start, start + limit)
    items: list[JsonValue] = [_short(log, entry) for log, entry in shown]
    return items, sum(ledger.detail(name).head().seq for name in LOG_NAMES)


def _short(log: str, entry: Entry) -> JsonValue:
    kept: dict[str, JsonValue] = {"log": log}
    kept |= {key: entry.get(key) for key in ("at", "seq", "step", "event") if entry.get(key) is not None}
    message = entry.get("message")
    return kept | {"message": str(message)[:MESSAGE_CHARS]}


def _metrics(_ledger: Ledger, state: RunState, start: int, limit: int) -> Page:
    score = {} if state.holdout_score is None else state.holdout_score.metrics()
    rows: list[JsonValue] = [{"step": "holdout", "metric": name, "value": value} for name, value in score.items()]
    rows += [
        {"step": step, "metric": name, "value": value}
        for step in reversed(state.steps)
        if step in state.sealed
        for name, value in sorted(
            state.sealed[step].metrics.items(),
            key=lambda item: (".best." not in item[0], item[0]),
        )
    ]
    return rows[start : start + limit], len(rows)


def _artifacts(ledger: Ledger, state: RunState, start: int, limit: int) -> Page:
    rows: list[JsonValue] = []
    for step in reversed(state.steps):
        if step not in state.sealed:
            continue
        try:
            outcome = read_outcome(ledger.run.path, state.sealed[step].artifacts)
        except ValueError as error:
            rows.append({"step": step, "error": str(error)})
            continue
        made_by = units_of_artifacts(outcome)
        rows += [
            {"step": step, "path": item.path, "bytes": item.bytes, "sha256": item.sha256, **made_by[item.path]}
            for item in outcome.artifacts
        ]
    return rows[start : start + limit], len(rows)


def _gates(ledger: Ledger, state: RunState, start: int, limit: int) -> Page:
    severity = {"error": 0, "fail": 1, "warn": 2, "pass": 3}
    attempts = {step: sealed.attempt for step, sealed in state.sealed.items() if sealed.verdict is not None}
    newest: dict[tuple[str, str, str], Entry] = {}
    judged_at: dict[str, str] = {}  # the findings of one judgement carry one time
    for entry in ledger.detail("validation").entries():
        step = str(entry.get("step"))
        if entry.get("event") == "finding" and attempts.get(step) == entry.get("attempt"):
            if judged_at.get(step) != entry.get("at"):
                judged_at[step] = str(entry.get("at"))
                newest = {key: kept for key, kept in newest.items() if key[0] != step}
            newest[step, str(entry.get("gate")), str(entry.get("subject"))] = entry
    order = {step: number for number, step in enumerate(reversed(state.steps))}
    ranked = sorted(
        newest.values(),
        key=lambda entry: (order.get(str(entry["step"]), 0), severity.get(str(entry["severity"]), 0)),
    )
    keys = ("step", "gate", "severity", "subject", "measured", "threshold", "reason", "code_sha256")
    found: list[JsonValue] = [{key: entry.get(key) for key in keys} for entry in ranked]
    if not found:
        stages = dict.fromkeys(step.split("/")[1] for step in state.steps)
        found = [_purpose(stage, gate.name, gate.purpose) for stage in stages for gate in gates_for(stage)]
        found += [_purpose(stage, gate.name, gate.purpose) for stage in stages for gate in _custom(state, stage)]
    return found[start : start + limit], len(found)


def _purpose(stage: str, gate: str, purpose: str) -> JsonValue:
    return {"stage": stage, "gate": gate, "purpose": purpose}


def _custom(state: RunState, stage: str) -> list[SealedGate]:
    return [gate for gate in state.gates_sealed if gate.kind != "built_in" and gate.judges(stage)]


def _spec(ledger: Ledger, state: RunState, start: int, limit: int) -> Page:
    spec = sealed_spec(ledger.run, state)
    parts: list[JsonValue] = [
        {"sealed": spec.model_dump(mode="json", exclude_none=True, exclude_defaults=True)},
        {"adjustments": state.adjustments.model_dump(mode="json", exclude_none=True)},
        {
            f"effective at {state.checkpoint}": effective_study(
                spec,
                state.adjustments,
                state.checkpoint,
            ).model_dump(mode="json", exclude={"alphas"}, exclude_none=True),
        },
    ]
    return parts[start : start + limit], len(parts)


def _trials(ledger: Ledger, state: RunState, start: int, limit: int) -> Page:
    rows = [*trial_rows(ledger, state)]
    return rows[start : start + limit], len(rows)


_VIEWS: Mapping[str, Callable[[Ledger, RunState, int, int], Page]] = {
    "summary": _summary,
    "logs": _logs,
    "metrics": _metrics,
    "artifacts": _artifacts,
    "gates": _gates,
    "spec": _spec,
    "trials": _trials,
}

View = Literal["summary", "runs", "logs", "metrics", "artifacts", "gates", "spec", "trials"]
