"""What a person wants to know when a loop has ended: verdicts, the best configuration, where logs and results lie."""

from pydantic import JsonValue

from stagewright.server.cli.exit_status import status_of_run
from stagewright.state.artifacts import read_outcome
from stagewright.state.run_directory import RunDirectory
from stagewright.state.run_state import RunState, next_call, split_step

__all__ = ["run_summary", "summary_lines"]

BEST = "best configuration: "


def run_summary(run: RunDirectory, state: RunState) -> dict[str, JsonValue]:
    """Return the end of a loop as JSON."""
    step, notes = _best(run, state)
    metrics = state.sealed[step].metrics if step is not None else {}
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
        "best": {
            "step": step,
            "configuration": notes,
            "metrics": {name: value for name, value in metrics.items() if ".best." in name},
        },
        "k_by_method": {**state.k_by_method},
        "failures": state.failures,
        "runtime_used_s": round(state.runtime_used_s, 3),
        "blocked": None if state.blocked is None else state.blocked.model_dump(mode="json", exclude_none=True),
        "recommended_why": state.recommended_why,
        "run_dir": str(run.path),
        "results": [str(run.path / checkpoint / "analysis") for checkpoint in _checkpoints(state)],
        "logs": str(run.path / "logs"),
        "next": next_call(state).model_dump(mode="json"),
    }


def summary_lines(run: RunDirectory, state: RunState) -> list[str]:
    """Return the end of a loop as lines for a person."""
    step, best = _best(run, state)
    lines = [f"Run        {state.run_id}", f"Status     {_ending(state)}"]
    for checkpoint in _checkpoints(state):
        verdicts = [
            f"{split_step(name)[1]} {sealed.verdict or 'not validated'}"
            for name, sealed in state.sealed.items()
            if split_step(name)[0] == checkpoint
        ]
        lines.append(f"Verdicts   {checkpoint}: {', '.join(verdicts)}")
    if step is None:
        lines.append("Best       no configuration was scored")
    else:
        scores = [(name, value) for name, value in state.sealed[step].metrics.items() if ".best." in name]
        lines.append(f"Best       {step}: {best or 'see the metrics'}")
        lines += [f"           {name} = {value:.4g}" for name, value in scores]
    chosen = ", ".join(f"{method} {k}" for method, k in state.k_by_method.items())
    if chosen:
        lines.append(f"K          {chosen}")
    results = [str(run.path / checkpoint / "analysis") for checkpoint in _checkpoints(state)]
    lines.append(f"Results    {results[-1] if results else 'none yet'}")
    lines.append(f"Logs       {run.path / 'logs'}")
    # By its path, so that the lines can be pasted in any folder.
    lines += [f"           stagewright {verb} {run.path}" for verb in ("log", "verify")]
    return lines


def _ending(state: RunState) -> str:
    match state.status:
        case "completed":
            return "completed: every step was validated without fail"
        case "stopped":
            return f"stopped at {state.step}"
        case "blocked":
            return f"blocked at {state.step}: {state.blocked.error if state.blocked else 'see the log'}"
        case "awaiting_approval":
            return f"waits for a person: stagewright approve {state.run_id} --reason ..."
        case "validated":
            return f"{state.step} has verdict {state.verdict}; the run was left as it is"
        case _:
            return f"{state.status} at {state.step}"


def _checkpoints(state: RunState) -> list[str]:
    return list(dict.fromkeys(split_step(name)[0] for name in state.sealed))


def _best(run: RunDirectory, state: RunState) -> tuple[str | None, str | None]:
    """Return the newest step that scored configurations and what its stage noted as the best one."""
    scored = [step for step in state.steps if step in state.sealed and _scores(state, step)]
    # Cross-validated scores stand in the last scoring stage of a checkpoint; later checkpoints saw more cells.
    for step in reversed(scored):
        try:
            notes = read_outcome(run.path, state.sealed[step].artifacts).notes
        except ValueError:
            notes = ()
        return step, next((note.removeprefix(BEST) for note in notes if note.startswith(BEST)), None)
    return None, None


def _scores(state: RunState, step: str) -> bool:
    return any(".best." in name for name in state.sealed[step].metrics)
