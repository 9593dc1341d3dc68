"""The worker: does one attempt's work in its staging folder and reports how it ended. It never touches the ledger.

A worker must not outlive its supervisor: it holds the reading end of a pipe, and when the supervisor goes, however
that happens, the pipe closes and the worker ends itself and what it started.
"""

import math
import shutil
import traceback
from pathlib import Path

from stagewright.stages.catalogue import count_units, load_stage
from stagewright.stages.failure import describe_failure
from stagewright.stages.progress import Progress
from stagewright.stages.protocol import StageContext
from stagewright.state.artifacts import ArtifactWriter, Outcome
from stagewright.state.attempts import FAILURE, PROGRESS, REQUEST, RESULT, TRACEBACK
from stagewright.state.snapshot import write_atomically
from stagewright.state.step_request import StepRequest

__all__ = ["work"]


def work(attempt: Path) -> int:
    """Do the work that `request.json` of an attempt asks for and return the exit status: 0 done, 1 failed.

    Parameters
    ----------
    attempt
        The attempt's folder, ``<run>/attempts/NNNN_<checkpoint>_<stage>``.
    """
    try:
        outcome = _run_stage(attempt)
    except Exception as error:  # noqa: BLE001 - the rim: whatever it was becomes the attempt's recorded failure
        (attempt / TRACEBACK).write_text(traceback.format_exc(), encoding="utf-8")
        write_atomically(attempt / FAILURE, describe_failure(error).model_dump_json(indent=1) + "\n")
        return 1
    write_atomically(attempt / RESULT, outcome.model_dump_json(exclude_none=True) + "\n")
    return 0


def _run_stage(attempt: Path) -> Outcome:
    request = StepRequest.model_validate_json((attempt / REQUEST).read_bytes())
    staging = attempt / "staging"
    if staging.exists():
        shutil.rmtree(staging)
    staging.mkdir()
    context = StageContext(
        run=attempt.parent.parent,
        request=request,
        artifacts=ArtifactWriter(staging),
        progress=Progress(attempt / PROGRESS, count_units(request.stage, request.study)),
    )
    result = load_stage(request.stage)(context)
    return Outcome(
        step=request.step,
        attempt=request.attempt,
        artifacts=context.artifacts.artifacts(),
        metrics={name: float(value) for name, value in result.metrics.items() if math.isfinite(value)},
        k_by_method=result.k_by_method,
        k_shortlist=result.k_shortlist,
        configurations=result.configurations,
        skipped=result.skipped,
        notes=result.notes,
        units=context.progress.elapsed,
        n_cells=result.n_cells,
        trials=result.trials,
    )
