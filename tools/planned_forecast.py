"""What a study that is planned now will take, by what earlier ones took on this machine."""

import os

from stagewright.stages.forecast.checkpoint import Evidence, forecast_checkpoint
from stagewright.state.records import ArtifactSeal, Limits, SealedData
from stagewright.state.spec import Adjustments, GoalSpec, effective_study
from stagewright.state.spec.goal import CHECKPOINTS
from stagewright.state.step_request import StepRequest
from stagewright.state.survey import Survey
from stagewright.state.units import format_seconds
from stagewright.tools.cost_history import remembered_costs
from stagewright.tools.forecasting import cells_of, requests_of
from stagewright.tools.workspace import Workspace

__all__ = ["planned_forecast"]

NOWHERE = ArtifactSeal(outcome="none", outcome_sha256="0" * 64, count=0, bytes=0)
"""Stands for the steps before one: that there are some decides which units a step has."""


def planned_forecast(workspace: Workspace, spec: GoalSpec, data: SealedData, found: Survey) -> str:
    """Return the run time that each checkpoint is expected to take, as a sentence, or why there is no such forecast.

    Memory is not forecast: the peak of another study, on other data, does not calibrate this one's.
    """
    before = remembered_costs(workspace.root)
    if not before:
        return "none: nothing was measured on this machine by this code yet; the first is made after checkpoint A"
    limits = Limits(runtime_s=spec.budget.runtime, memory_bytes=spec.budget.memory, retries=spec.budget.retries)
    cells = tuple(item.positive + item.negative for item in found.patients)
    said, unknown = list[str](), list[str]()
    for checkpoint in CHECKPOINTS:
        study = effective_study(spec, Adjustments(), checkpoint)
        base = StepRequest(
            run_id="planned",
            step=f"{checkpoint}/{spec.stages[0]}",
            attempt=1,
            data=data,
            scope=spec.data,
            study=study,
            k_by_method={},
            upstream={"none": NOWHERE},
            limits=limits,
            caps=limits,
            workers=min(study.workers or os.cpu_count() or 1, workspace.policy.caps.workers),
        )
        requests = requests_of(base, checkpoint, study, [*spec.stages])
        forecast = forecast_checkpoint(checkpoint, requests, cells_of(cells, study), Evidence((), before))
        if forecast is not None:
            low, middle, high = (
                format_seconds(float(f"{seconds:.2g}"))
                for seconds in (forecast.runtime_lower_s, forecast.runtime_s, forecast.runtime_upper_s)
            )
            said.append(f"{checkpoint} {middle} ({low} to {high})")
            unknown += forecast.unknown
    if not said:
        return "none: no study with these stages was measured on this machine by this code yet"
    steps = len({(item.run_id, item.step) for item in before})
    without = f"; without {', '.join(unknown)}, which nothing is known of" if unknown else ""
    return f"{', '.join(said)}, from {steps} steps of earlier runs on this machine{without}"
