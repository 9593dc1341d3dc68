"""The worker: does one attempt's work in its staging folder and reports how it ended. It never touches the ledger.

A worker must not outlive its supervisor: it holds the reading end of a pipe, and when the supervisor goes, however
that happens, the pipe closes and the worker ends itself and what it started.
"""

import math
import shutil
import sys
import traceback
from contextlib import suppress
from pathlib import Path

from stagewright.stages.catalogue import load_stage
from stagewright.stages.computed_with import computed_with
from stagewright.stages.failure import Failure, describe_failure
from stagewright.stages.process_tree import adopt_orphans
from stagewright.stages.progress import Progress
from stagewright.stages.protocol import StageContext
from stagewright.stages.worker_command import NO_REPORT
from stagewright.stages.workload import Workload
from stagewright.state.artifacts import ArtifactWriter, Outcome
from stagewright.state.attempts import FAILURE, PROGRESS, RESULT, SCRATCH, TRACEBACK, UNITS, read_request
from stagewright.state.own_limits import limit_myself
from stagewright.state.snapshot import write_atomically
from stagewright.state.step_request import StepRequest
from stagewright.state.step_units import gene_selections, step_units

__all__ = ["run_stage", "work"]


def work(attempt: Path) -> int:
    """Do the work that `request.json` of an attempt asks for and return the exit status.

    That is 0 when it is done, 1 when it failed, and `NO_REPORT` when the disk did not take the report of that.

    Parameters
    ----------
    attempt
        The attempt's folder, ``<run>/attempts/NNNN_<checkpoint>_<stage>``.
    """
    adopt_orphans()
    workload = Workload()
    try:
        request = read_request(attempt)
        limit_myself(request.limits.memory_bytes)
        outcome = run_stage(attempt, request, workload)
        write_atomically(attempt / RESULT, outcome.model_dump_json(exclude_none=True) + "\n")
    except Exception as error:  # noqa: BLE001 - the rim: whatever it was becomes the attempt's recorded failure
        return _report(attempt, describe_failure(error, workload), traceback.format_exc())
    return 0


def _report(attempt: Path, failure: Failure, trace: str) -> int:
    """Write the failure down and return the exit status; a disk that does not take the report has one of its own."""
    try:
        (attempt / TRACEBACK).write_text(trace, encoding="utf-8")
        write_atomically(attempt / FAILURE, failure.model_dump_json(indent=1) + "\n")
    except OSError:
        sys.stderr.write(trace)
        return NO_REPORT
    return 1


def run_stage(attempt: Path, request: StepRequest, workload: Workload) -> Outcome:
    """Do what a request asks for in the staging folder of its attempt, and return what is to be published.

    `units.json` of the attempt then says what became of its units, whether the stage ended well or not.

    Parameters
    ----------
    workload
        Tells afterwards how much data the stage had at hand.

    Raises
    ------
    UnitFailed
        When a unit fails that may not. Whatever else a stage raises passes through too.
    """
    staging = attempt / "staging"
    for left in (staging, staging.with_name("units"), staging.with_name(SCRATCH)):
        if left.exists():
            shutil.rmtree(left)
    staging.mkdir()
    context = StageContext(
        run=attempt.parent.parent,
        request=request,
        artifacts=ArtifactWriter(staging),
        progress=Progress(attempt / PROGRESS, len(step_units(request)) + gene_selections(request), workload),
        workload=workload,
    )
    try:
        result = load_stage(request.stage)(context)
        ran_on = context.ran_on
    finally:
        context.close()
        context.progress.close()
        with suppress(OSError):  # for people; the failure, or the outcome, says what matters
            context.journal.write(attempt / UNITS)
        shutil.rmtree(staging.with_name("units"), ignore_errors=True)
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
        units=context.journal.records,
        n_cells=result.n_cells,
        trials=result.trials,
        executor=ran_on,
        computed_with=computed_with(),
    )
