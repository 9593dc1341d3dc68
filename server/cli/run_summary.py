"""What a person wants to know when a loop has ended: verdicts, criteria, the best configuration, where results lie."""

import shlex

from pydantic import JsonValue

from stagewright.server.cli.criteria import criteria_lines, judged_criteria
from stagewright.server.cli.exit_status import status_of_run
from stagewright.server.cli.next_command import approve_command
from stagewright.server.cli.typed_command import TypedCommand
from stagewright.state.run_directory import RunDirectory
from stagewright.state.run_state import RunState, next_call, split_step
from stagewright.tools.best_result import best_result

__all__ = ["run_summary", "summary_lines"]

SHOWN_METRICS = 12


def run_summary(run: RunDirectory, state: RunState) -> dict[str, JsonValue]:
    """Return the end of a loop as JSON."""
    best = best_result(run, state)
    return {
        "run_id": state.run_id,
        "status": state.status,
        "step": state.step,
        "exit_status": int(status_of_run(state)),
        "verdicts": {
            name: {
                "verdict": sealed.verdict,
                "attempt": sealed.attempt,
                "elapsed_s": sealed.elapsed_s,
                "peak_rss_bytes": sealed.peak_rss_bytes,
            }
            for name, sealed in state.sealed.items()
        },
        "criteria": {kind: [item.as_json() for item in items] for kind, items in judged_criteria(run, state).items()},
        "best": {
            "step": None if best is None else best.step,
            "configuration": None if best is None else best.configuration,
            "metrics": {} if best is None else {**best.metrics},
        },
        "holdout": None if state.holdout_score is None else state.holdout_score.model_dump(mode="json"),
        "k_by_method": {**state.k_by_method},
        "parent_run_id": state.parent_run_id,
        "configurations_tried": state.configurations_tried,
        "of_them_in_other_runs": state.inherited_configurations,
        "forecasts_met": {name: met.model_dump(mode="json") for name, met in state.forecasts_met.items()},
        "failures": state.failures,
        "runtime_used_s": round(state.runtime_used_s, 3),
        "blocked": None if state.blocked is None else state.blocked.model_dump(mode="json", exclude_none=True),
        "recommended_why": state.recommended_why,
        "run_dir": str(run.path),
        "results": [str(run.path / checkpoint / "analysis") for checkpoint in _checkpoints(state)],
        "logs": str(run.path / "logs"),
        "next": next_call(state).model_dump(mode="json"),
    }


def summary_lines(run: RunDirectory, state: RunState, typed: TypedCommand) -> list[str]:
    """Return the end of a loop as lines for a person."""
    best = best_result(run, state)
    lines = [f"Run        {state.run_id}", f"Status     {_ending(state, typed)}"]
    for checkpoint in _checkpoints(state):
        verdicts = [
            f"{split_step(name)[1]} {sealed.verdict or 'not validated'}"
            for name, sealed in state.sealed.items()
            if split_step(name)[0] == checkpoint
        ]
        lines.append(f"Verdicts   {checkpoint}: {', '.join(verdicts)}")
    lines += criteria_lines(run, state)
    if best is None:
        lines += _metric_lines(state)
    else:
        lines.append(f"Best       {best.step}: {best.configuration or 'see the metrics'}")
        lines += [f"           {name} = {value:.4g}" for name, value in best.metrics.items()]
    if state.holdout_score is not None:
        lines.append(f"Hold-out   {state.holdout_score.said()}")
    if state.configurations_tried:
        others = state.inherited_configurations
        earlier = f", {others} of them by other runs on these data and this label" if others else ""
        lines.append(f"Tried      {state.configurations_tried} configurations{earlier}")
    chosen = ", ".join(f"{method} {k}" for method, k in state.k_by_method.items())
    if chosen:
        lines.append(f"K          {chosen}")
    results = [str(run.path / checkpoint / "analysis") for checkpoint in _checkpoints(state)]
    lines.append(f"Results    {results[-1] if results else 'none yet'}")
    lines.append(f"Logs       {run.path / 'logs'}")
    lines += [f"           {typed.line([verb, shlex.quote(str(run.path))])}" for verb in ("log", "verify")]
    return lines


def _metric_lines(state: RunState) -> list[str]:
    """Return the newest metrics of each stage that reported some: commands have scores of their own."""
    newest = {split_step(name)[1]: name for name, sealed in state.sealed.items() if sealed.metrics}
    shown = [(name, metric, value) for name in newest.values() for metric, value in state.sealed[name].metrics.items()]
    if not shown:
        return ["Best       no configuration was scored"]
    heads = ["Metrics    ", *["           "] * len(shown)]
    lines = [f"{head}{name}: {metric} = {value:.4g}" for head, (name, metric, value) in zip(heads, shown, strict=False)]
    more = len(lines) - SHOWN_METRICS
    return lines if more <= 0 else [*lines[:SHOWN_METRICS], f"           and {more} more"]


def _ending(state: RunState, typed: TypedCommand) -> str:
    match state.status:
        case "completed":
            return "completed: every step was validated without fail"
        case "stopped":
            return f"stopped at {state.step}"
        case "blocked":
            return f"blocked at {state.step}: {state.blocked.error if state.blocked else 'see the log'}"
        case "awaiting_approval":
            return f"waits for a person: {approve_command(state.run_id, typed)}"
        case "validated":
            why = f": {state.recommended_why}" if state.recommended == "adjust" else ""
            return f"{state.step} has verdict {state.verdict}; the run was left as it is{why}"
        case _:
            return f"{state.status} at {state.step}"


def _checkpoints(state: RunState) -> list[str]:
    return list(dict.fromkeys(split_step(name)[0] for name in state.sealed))
