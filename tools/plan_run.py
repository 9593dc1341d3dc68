"""Plan a study: check the goal spec and the data, seal them, and make the run directory."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field, JsonValue

from stagewright.gates.catalogue import check_thresholds
from stagewright.stages.catalogue import count_units, spec_faults
from stagewright.state.canonical import digest_file, digest_json
from stagewright.state.clock import stamp, utc_now
from stagewright.state.events import RunPlanned
from stagewright.state.ledger import Ledger
from stagewright.state.lock import run_lock
from stagewright.state.manifest import CodeState, DataFacts, manifest_text, new_manifest
from stagewright.state.plan import plan_document, plan_steps
from stagewright.state.records import Limits, SealedData
from stagewright.state.refusals import LedgerCorrupt, NextCall, Refusal
from stagewright.state.run_directory import EXPERIMENTS, LOG_NAMES, RunDirectory, list_runs, name_run
from stagewright.state.run_state import RunState, next_call
from stagewright.state.spec import Adjustments, GoalSpec, effective_study, parse_spec, read_spec_text
from stagewright.state.spec.goal import CHECKPOINTS
from stagewright.state.survey import Survey, SurveyRequest
from stagewright.state.units import format_bytes, format_seconds
from stagewright.tools.children import ChildFailed, ask_child, git_facts
from stagewright.tools.feasibility import check_feasible, cohort_warnings
from stagewright.tools.replies import PlanReply, StepPlan, Tick
from stagewright.tools.workspace import Workspace

__all__ = ["plan_run"]

SURVEY_TIMEOUT_S = 600.0
IDEMPOTENT_LOOKBACK = 20


@dataclass(frozen=True, slots=True)
class _Declared:
    """A goal spec as it was given: its text, what it says, and the folder its paths are taken from."""

    text: str
    spec: GoalSpec
    folder: Path

    def digest(self, data: SealedData) -> str:
        """Return what tells this study from another: its declaration and its data."""
        return digest_json({"spec": self.spec.model_dump(mode="json"), "data": data.sha256})


def plan_run(
    workspace: Workspace,
    spec: Annotated[
        str | dict[str, JsonValue],
        Field(description="Path of a YAML/JSON goal spec under the root, or the spec itself as an object"),
    ],
    *,
    dry_run: Annotated[bool, Field(description="Check only; write nothing")] = False,
    parent_run_id: Annotated[str | None, Field(description="The run that this one varies")] = None,
) -> Iterator[Tick | PlanReply]:
    """Validate a goal spec and its data, seal them in a new run directory, and return the plan.

    The same spec on the same data, planned again before its first attempt, is the same run.

    Parameters
    ----------
    workspace
        Where the run is to lie.
    spec
        The path of a YAML or JSON file, its text, or the object itself.
    dry_run
        Check everything, write nothing.
    parent_run_id
        The run that this one varies.

    Yields
    ------
    Signs of life while the data file is looked into, then a `PlanReply`.

    Raises
    ------
    Refusal
        `invalid_spec`, `invalid_data`, `unavailable`, `outside_root`, `over_cap` or `unknown_run`, with every fault.
    """
    declared = _read(workspace, spec)
    _check_spec(workspace, declared.spec)
    parent = None if parent_run_id is None else workspace.run(parent_run_id).run_id
    data_path = workspace.contained(declared.spec.data.path, declared.folder, "data.path")
    found: Survey | None = None
    question = SurveyRequest(path=str(data_path), scope=declared.spec.data)
    try:
        for tick in ask_child("stagewright.stages", "survey", question, Survey, SURVEY_TIMEOUT_S):
            if isinstance(tick, Tick):
                yield tick.model_copy(update={"message": "looking into the data file"})
            else:
                found = tick
    except ChildFailed as error:
        raise Refusal("invalid_data", f"the data file could not be looked into: {error}") from error
    if found is None or found.data is None:
        raise Refusal("invalid_data", found.fault if found is not None and found.fault else "no answer about the data")
    check_feasible(declared.spec, found)
    yield _planned(workspace, declared, found.data, found, parent, dry_run=dry_run)


def _read(workspace: Workspace, spec: str | dict[str, JsonValue]) -> _Declared:
    if isinstance(spec, dict):
        text = yaml.safe_dump(spec, sort_keys=False, allow_unicode=True, width=120)
        return _Declared(text, parse_spec(spec), workspace.root)
    if "\n" in spec or spec.lstrip().startswith("{"):
        return _Declared(spec, parse_spec(spec), workspace.root)
    path = workspace.contained(spec, Path.cwd() if workspace.trusted else workspace.root, "spec")
    text = read_spec_text(path)
    return _Declared(text, parse_spec(text), path.parent)


def _check_spec(workspace: Workspace, spec: GoalSpec) -> None:
    faults = spec_faults(spec, workspace.policy.commands) + check_thresholds(
        {gate: bounds.model_dump(exclude_none=True) for gate, bounds in spec.gates.items()},
    )
    if faults:
        raise Refusal("unavailable", "the spec asks for what this server cannot run:\n" + _listed(faults))
    caps, budget = workspace.policy.caps, spec.budget
    over = []
    if budget.runtime > caps.runtime:
        over.append(f"budget.runtime: {format_seconds(budget.runtime)} asked, {format_seconds(caps.runtime)} allowed")
    if budget.memory > caps.memory:
        over.append(f"budget.memory: {format_bytes(budget.memory)} asked, {format_bytes(caps.memory)} allowed")
    if budget.retries > caps.retries:
        over.append(f"budget.retries: {budget.retries} asked, {caps.retries} allowed")
    if budget.workers is not None and budget.workers > caps.workers:
        over.append(f"budget.workers: {budget.workers} asked, {caps.workers} allowed")
    if over:
        raise Refusal("over_cap", "the budget is above the operator's caps:\n" + _listed(over))


def _listed(faults: list[str]) -> str:
    return "\n".join(f"  - {fault}" for fault in faults)


def _planned(
    workspace: Workspace,
    declared: _Declared,
    data: SealedData,
    found: Survey,
    parent: str | None,
    *,
    dry_run: bool,
) -> PlanReply:
    spec = declared.spec
    studies = {checkpoint: effective_study(spec, Adjustments(), checkpoint) for checkpoint in CHECKPOINTS}
    units = {
        f"{checkpoint}/{stage}": count_units(stage, studies[checkpoint])
        for checkpoint in CHECKPOINTS
        for stage in spec.stages
    }
    warnings = [*found.warnings, *cohort_warnings(spec, found)]
    both = sum(1 for item in found.patients if item.positive and item.negative)
    facts = PlanReply(
        run_id=None,
        step=None,
        status=None,
        summary="",
        next=None,
        steps=[StepPlan(step=step, units=units[step]) for step in plan_steps(spec)],
        spec_digest=declared.digest(data),
        n_cells=found.n_obs_in_scope,
        n_patients=len(found.patients),
        n_patients_with_both_classes=both,
        warnings=warnings,
    )
    if dry_run:
        again = NextCall(tool="plan_run", arguments={"spec": "..."}, why="plans it for good")
        summary = f"The spec is valid; {len(facts.steps)} steps. Nothing was written (dry run)."
        return facts.model_copy(update={"summary": summary, "next": again, "dry_run": True})
    run, state, existed = _make_or_find(workspace, declared, data, found, parent, units, warnings)
    what = "This spec was already planned and has not started" if existed else "Planned"
    summary = f"{what}: {len(facts.steps)} steps on {found.n_obs_in_scope} cells of {len(found.patients)} patients."
    place = {"run_id": run.run_id, "step": state.step, "status": state.status, "run_dir": str(run.path)}
    return facts.model_copy(update=place | {"summary": summary, "next": next_call(state)})


def _make_or_find(
    workspace: Workspace,
    declared: _Declared,
    data: SealedData,
    found: Survey,
    parent: str | None,
    units: dict[str, int],
    warnings: list[str],
) -> tuple[RunDirectory, RunState, bool]:
    experiments = workspace.root / EXPERIMENTS
    experiments.mkdir(parents=True, exist_ok=True)
    with run_lock(experiments / ".lock", run_id=None):  # two planners would each not find the other's run
        return _make_under_lock(workspace, experiments, declared, data, found, parent, units, warnings)


def _make_under_lock(
    workspace: Workspace,
    experiments: Path,
    declared: _Declared,
    data: SealedData,
    found: Survey,
    parent: str | None,
    units: dict[str, int],
    warnings: list[str],
) -> tuple[RunDirectory, RunState, bool]:
    digest = declared.digest(data)
    runs = list(list_runs(workspace.root))
    for run in runs[:IDEMPOTENT_LOOKBACK]:
        if (state := _unstarted(run, digest, parent)) is not None:
            return run, state, True
    if len(runs) >= workspace.policy.caps.runs:
        raise Refusal("over_cap", f"there are {len(runs)} runs under the root, which is the operator's cap")
    moment, again = utc_now(), 0
    name = name_run(declared.spec.objective, digest, moment)
    while (experiments / name).exists():
        again += 1
        name = name_run(declared.spec.objective, digest, moment, again=again)
    building = Path(tempfile.mkdtemp(prefix=".new-", dir=experiments))
    try:
        state = _fill(building / name, workspace, declared, data, found, parent, units, warnings, digest, moment)
        (building / name).rename(experiments / name)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return RunDirectory(experiments / name), state, False


def _unstarted(run: RunDirectory, digest: str, parent: str | None) -> RunState | None:
    try:
        state = Ledger(run).read()
    except LedgerCorrupt:
        return None
    same = state.spec_digest == digest and state.parent_run_id == parent
    return state if same and state.attempt == 0 and not state.finished and state.last_decision is None else None


def _fill(  # noqa: PLR0913, PLR0917 - everything that a run directory starts with
    path: Path,
    workspace: Workspace,
    declared: _Declared,
    data: SealedData,
    found: Survey,
    parent: str | None,
    units: dict[str, int],
    warnings: list[str],
    digest: str,
    moment: datetime,
) -> RunState:
    run, spec = RunDirectory(path), declared.spec
    (path / "logs").mkdir(parents=True)
    (path / "attempts").mkdir()
    run.spec.write_text(declared.text, encoding="utf-8")
    limits = Limits(runtime_s=spec.budget.runtime, memory_bytes=spec.budget.memory, retries=spec.budget.retries)
    run.plan.write_text(plan_document(run.run_id, spec, limits, units, warnings), encoding="utf-8")
    for name in LOG_NAMES:
        run.log(name).touch()
    state = Ledger(run).first(
        RunPlanned(
            message=f"planned {len(units)} steps on {found.n_obs_in_scope} cells of {len(found.patients)} patients",
            actor=workspace.actor,
            run_id=run.run_id,
            objective=spec.objective,
            steps=plan_steps(spec),
            spec_sha256=digest_file(run.spec),
            spec_digest=digest,
            data=data,
            limits=limits,
            approvals=spec.approvals,
            parent_run_id=parent,
        ),
        moment,
    )
    commit, branch, dirty = git_facts(workspace.root)
    document = new_manifest(
        state,
        spec,
        command=sys.argv,
        launched_at=stamp(moment),
        code=CodeState(git_commit=commit, git_branch=branch, git_dirty=dirty),
        data=DataFacts(
            n_obs=found.n_obs,
            n_vars=found.n_vars,
            n_obs_in_scope=found.n_obs_in_scope,
            filters=[*found.filters],
        ),
    )
    run.manifest.write_text(manifest_text(document), encoding="utf-8")
    return state
