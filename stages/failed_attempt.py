"""What the ledger says of an attempt that ended, and of one that blocks its step."""

import json
from contextlib import suppress
from pathlib import Path

from stagewright.stages.failure import Failure
from stagewright.stages.failure_context import failure_context, resources_of
from stagewright.stages.handlers import FailedCase, propose
from stagewright.stages.worker_process import WorkerEnding
from stagewright.state.attempts import CONTEXT, PROGRESS, TRACEBACK, WORKER_LOG, seal_files, tail_lines
from stagewright.state.events import AttemptFinished
from stagewright.state.records import Blocked
from stagewright.state.run_directory import RunDirectory
from stagewright.state.run_state import RunState
from stagewright.state.sealed_spec import declared_spec
from stagewright.state.snapshot import write_json_atomically
from stagewright.state.step_request import StepRequest
from stagewright.state.units import format_bytes, format_seconds

__all__ = ["blocked_by", "finished"]

LAST_LINES = 12
ERROR_CHARS = 600


def finished(folder: Path, request: StepRequest, ending: WorkerEnding, outcome: str, what: str) -> AttemptFinished:
    """Return the event of an attempt that ended, with the time and memory that it used and the seal of what it left."""
    used = f"in {format_seconds(ending.elapsed_s)}, peak {format_bytes(ending.peak_rss_bytes)}"
    return AttemptFinished.model_validate(
        {
            "message": f"{request.step} attempt {request.attempt} {what} ({used})",
            "step": request.step,
            "actor": "supervisor",
            "attempt": request.attempt,
            "outcome": outcome,
            "exit_status": ending.exit_status,
            "elapsed_s": round(ending.elapsed_s, 3),
            "peak_rss_bytes": ending.peak_rss_bytes,
            "files": seal_files(folder, without=() if ending.drained else (WORKER_LOG,)),
        },
    )


def blocked_by(
    failure: Failure, run: RunDirectory, request: StepRequest, ending: WorkerEnding, state: RunState
) -> Blocked:
    """Return why a step cannot go on after a failure, with the evidence and what could be done.

    Writes `context.json` beside the traceback, if the disk takes it.
    """
    folder = run.attempt(request.attempt, request.step)
    trace, context = folder / TRACEBACK, folder / CONTEXT
    resources = resources_of(ending, request, folder)
    with suppress(OSError):
        write_json_atomically(context, failure_context(request, resources))
    case = FailedCase(
        failure=_with_workload(failure, folder),
        state=state,
        spec=state.adjustments.applied_to(declared_spec(run)),
        workers=request.workers,
        limits=state.effective_limits,
        caps=request.caps,
        resources=resources,
        folder=folder,
    )
    error = failure.error if len(failure.error) <= ERROR_CHARS else failure.error[:ERROR_CHARS] + "..."
    return Blocked(
        error=error,
        kind=failure.kind,
        unit=failure.unit,
        traceback=trace.relative_to(run.path).as_posix() if trace.exists() else None,
        context=context.relative_to(run.path).as_posix() if context.exists() else None,
        resources=resources,
        last_lines=tail_lines(folder / WORKER_LOG, LAST_LINES),
        proposals=propose(case),
    )


def _with_workload(failure: Failure, folder: Path) -> Failure:
    """Return a failure with the size of the data at hand, by the last progress of a worker that could not report it."""
    if failure.n_cells is not None:
        return failure
    try:
        shown = json.loads((folder / PROGRESS).read_text(encoding="utf-8"))
        sizes = {name: int(shown[name]) for name in ("n_cells", "n_genes", "n_nonzero")}
    except (OSError, ValueError, KeyError, TypeError):
        return failure  # it had not loaded anything yet
    return failure.model_copy(update=sizes)
