"""Make the request of the next attempt from the run's state: the sealed spec, the adjustments, the earlier steps."""

import os

from stagewright.state.holdout import working_scope
from stagewright.state.records import Limits
from stagewright.state.refusals import NextCall, Refusal
from stagewright.state.run_directory import RunDirectory
from stagewright.state.run_state import RunState, split_step
from stagewright.state.sealed_spec import spec_change
from stagewright.state.spec import GoalSpec, effective_study, load_spec
from stagewright.state.step_request import StepRequest
from stagewright.tools.privacy.run_key import key_of_run
from stagewright.tools.sealed_data import locate_data
from stagewright.tools.workspace import Workspace

__all__ = ["request_for", "sealed_spec"]


def sealed_spec(run: RunDirectory, state: RunState) -> GoalSpec:
    """Return the run's goal spec.

    Raises
    ------
    Refusal
        `sealed` when spec.yaml is no longer the file that was sealed.
    """
    change = spec_change(run, state.spec_sha256)
    if change is not None:
        raise Refusal(
            "sealed",
            f"{change}. The run does not follow it. Restore it, or plan a new run from the changed spec with "
            f"plan_run(parent_run_id={run.run_id!r}).",
            run_id=run.run_id,
            status=state.status,
            next_call=NextCall(
                tool="plan_run",
                arguments={"spec": "...", "parent_run_id": run.run_id},
                why="plans the changed spec as a new run; or restore spec.yaml first, and make the same call again",
            ),
        )
    return load_spec(run.spec)


def request_for(workspace: Workspace, run: RunDirectory, state: RunState, left: Limits) -> StepRequest:
    """Return what the next attempt is asked to do, with `left` of the budget."""
    spec = sealed_spec(run, state)
    caps = workspace.policy.caps
    study = effective_study(spec, state.adjustments, state.checkpoint)
    upstream = {
        step: sealed.artifacts
        for step, sealed in state.sealed.items()
        if split_step(step)[0] == state.checkpoint and state.steps.index(step) < state.position
    }
    return StepRequest(
        run_id=state.run_id,
        step=state.step,
        attempt=state.attempt + 1,
        data=locate_data(workspace, run, state, spec),
        scope=working_scope(spec.data, state.holdout),
        study=study,
        k_by_method=state.k_by_method,
        upstream=upstream,
        limits=left,
        caps=Limits(runtime_s=caps.runtime, memory_bytes=caps.memory, retries=caps.retries),
        workers=min(study.workers or os.cpu_count() or 1, caps.workers),
        output_bytes=caps.output,
        failed_units=spec.budget.failed_units,
        decisions=state.decisions,
        gates={name: bounds.model_dump(exclude_none=True) for name, bounds in spec.gates.items()},
        command=workspace.policy.commands.get(state.stage),
        executor=workspace.policy.executor,
        pseudonyms=key_of_run(workspace, run, state),
    )
