"""Plan a study: check the goal spec and the data, seal them, and make the run directory."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field, JsonValue

from stagewright.gates.check_thresholds import check_thresholds
from stagewright.stages.catalogue import count_units, spec_faults
from stagewright.state.canonical import digest_json
from stagewright.state.custom_gate import SealedGate
from stagewright.state.executor import missing_package
from stagewright.state.over_caps import over_caps
from stagewright.state.plan import plan_steps
from stagewright.state.records import SealedData
from stagewright.state.refusals import NextCall, Refusal
from stagewright.state.run_state import next_call
from stagewright.state.spec import Adjustments, GoalSpec, effective_study, parse_spec, read_spec_text
from stagewright.state.spec.faults import list_faults
from stagewright.state.spec.goal import CHECKPOINTS
from stagewright.state.survey import Survey, SurveyRequest
from stagewright.tools.children import ChildFailed
from stagewright.tools.feasibility import (
    check_feasible,
    cohort_warnings,
    control_warnings,
    rank_warnings,
    supervised_warnings,
)
from stagewright.tools.gates_of_run import gates_to_seal
from stagewright.tools.gene_lists import DeclaredList, declared_lists, genes_missing
from stagewright.tools.gene_selection import check_gene_selection
from stagewright.tools.holdout_plan import check_holdout, holdout_warnings, seal_holdout, wish_of
from stagewright.tools.new_run import NewRun, make_or_find
from stagewright.tools.planned_forecast import planned_forecast
from stagewright.tools.privacy.command_warnings import command_warnings
from stagewright.tools.privacy.run_key import planning_key
from stagewright.tools.replies import PlanReply, StepPlan, Tick
from stagewright.tools.workspace import Workspace

__all__ = ["plan_run", "spec_as_given"]

SURVEY_TIMEOUT_S = 600.0
SHOWN = 6
MOST_RECORDED = 2**16


@dataclass(frozen=True, slots=True)
class _Declared:
    """A goal spec as it was given: its text, what it says, and the folder its paths are taken from."""

    text: str
    spec: GoalSpec
    folder: Path
    name: str | None = None

    def digest(self, data: SealedData) -> str:
        """Return what tells this study from another: its declaration and its data, gene lists among them."""
        said: dict[str, JsonValue] = {"spec": self.spec.model_dump(mode="json"), "data": data.sha256}
        if data.gene_lists is not None:
            said["gene_lists"] = {**data.gene_lists}
        return digest_json(said)


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
        The run that this one varies. Without it, the newest run that was executed on the same data and label. What all
        such runs tried counts in either case.

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
    lists = declared_lists(workspace, declared.spec, declared.folder)
    wanted = {item.entry.tag: item.chosen.genes for item in lists}
    wish = wish_of(workspace, declared.spec)
    with planning_key(workspace, declared.spec, dry_run=dry_run) as key:
        question = SurveyRequest(
            path=str(data_path),
            scope=declared.spec.data,
            genes=wanted,
            holdout=wish,
            pseudonyms=key,
            texts={} if key is None else {"the goal spec": declared.text, "the path of the data": str(data_path)},
        )
        for tick in _surveyed(workspace, question):
            if isinstance(tick, Tick):
                yield tick
            else:
                found = tick
    if found is None or found.data is None:
        raise Refusal("invalid_data", found.fault if found is not None and found.fault else "no answer about the data")
    check_holdout(declared.spec, found)
    check_feasible(declared.spec, found)
    check_gene_selection(declared.spec, found)
    data = _sealed(found.data, lists)
    found = found.model_copy(update={"warnings": (*found.warnings, *genes_missing(lists, found.genes_found))})
    gates: tuple[SealedGate, ...] = ()
    for item in gates_to_seal(workspace.policy, workspace.children):
        if isinstance(item, Tick):
            yield item
        else:
            gates = item
    found = found.model_copy(update={"warnings": (*found.warnings, *command_warnings(declared.spec, workspace.policy))})
    yield _planned(workspace, declared, data, found, parent, lists=lists, gates=gates, dry_run=dry_run)


def _surveyed(workspace: Workspace, question: SurveyRequest) -> Iterator[Tick | Survey]:
    try:
        for item in workspace.children.ask("stagewright.stages", "survey", question, Survey, SURVEY_TIMEOUT_S):
            if isinstance(item, Tick):
                yield item.model_copy(update={"message": "looking into the data file"})
            else:
                yield item
    except ChildFailed as error:
        raise Refusal("invalid_data", f"the data file could not be looked into: {error.last_line}") from error


def _read(workspace: Workspace, spec: str | dict[str, JsonValue]) -> _Declared:
    if isinstance(spec, dict):
        text = yaml.safe_dump(spec, sort_keys=False, allow_unicode=True, width=120)
        return _Declared(text, parse_spec(spec), workspace.root)
    if "\n" in spec or spec.lstrip().startswith("{"):
        return _Declared(spec, parse_spec(spec), workspace.root)
    path = workspace.contained(spec, Path.cwd() if workspace.trusted else workspace.root, "spec")
    text = read_spec_text(path)
    return _Declared(text, parse_spec(text), path.parent, spec)


def spec_as_given(workspace: Workspace, spec: object) -> str | None:
    """Return the text of the file that a call names as its spec, for the record of a call that makes no run.

    None where the spec is in the call itself, the file may not be named, cannot be read, or is too long for a log.
    """
    if not isinstance(spec, str) or "\n" in spec or spec.lstrip().startswith("{"):
        return None
    try:
        path = workspace.contained(spec, Path.cwd() if workspace.trusted else workspace.root, "spec")
        return read_spec_text(path) if path.stat().st_size <= MOST_RECORDED else None
    except (Refusal, OSError):
        return None


def _check_spec(workspace: Workspace, spec: GoalSpec) -> None:
    faults = spec_faults(spec, workspace.policy.commands) + check_thresholds(
        {gate: bounds.model_dump(exclude_none=True) for gate, bounds in spec.gates.items()},
    )
    if faults:
        raise Refusal("unavailable", f"the spec asks for what this server cannot run:\n{list_faults(faults)}")
    missing = missing_package(workspace.policy.executor)
    if missing is not None:
        raise Refusal("unavailable", missing)
    budget = spec.budget
    over = over_caps(workspace.policy.caps, budget.runtime, budget.memory, budget.retries, budget.workers)
    if over:
        faults = [f"budget.{line}" for line in over]
        raise Refusal("over_cap", f"the budget is above the operator's caps:\n{list_faults(faults)}")


def _sealed(data: SealedData, lists: tuple[DeclaredList, ...]) -> SealedData:
    digests = {item.entry.path: item.sha256 for item in lists}
    return data.model_copy(update={"gene_lists": digests or None})


def _planned(
    workspace: Workspace,
    declared: _Declared,
    data: SealedData,
    found: Survey,
    parent: str | None,
    *,
    lists: tuple[DeclaredList, ...],
    gates: tuple[SealedGate, ...],
    dry_run: bool,
) -> PlanReply:
    spec = declared.spec
    studies = {checkpoint: effective_study(spec, Adjustments(), checkpoint) for checkpoint in CHECKPOINTS}
    units = {
        f"{checkpoint}/{stage}": count_units(stage, studies[checkpoint], spec.stages)
        for checkpoint in CHECKPOINTS
        for stage in spec.stages
    }
    supervised = [*supervised_warnings(spec), *control_warnings(spec), *rank_warnings(spec, found)]
    supervised += holdout_warnings(workspace, spec, found)
    warnings = [*found.warnings, *supervised, *cohort_warnings(spec, found)]
    forecast = planned_forecast(workspace, spec, data, found)
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
        forecast=forecast,
        warnings=[*found.warnings, *supervised, *cohort_warnings(spec, found, shown=SHOWN)],
    )
    if dry_run:
        again = NextCall(tool="plan_run", arguments={"spec": declared.name or "..."}, why="plans it for good")
        summary = f"The spec is valid; {len(facts.steps)} steps. No run was made (dry run)."
        return facts.model_copy(update={"summary": summary, "next": again, "dry_run": True})
    digest = declared.digest(data)
    contents, holdout = [item.content for item in lists], seal_holdout(workspace, spec, found)
    new = NewRun(declared.text, spec, digest, data, found, parent, units, warnings, contents, holdout, gates)
    made = make_or_find(workspace, new)
    run, state = made.run, made.state
    if (tried := made.others.said()) is not None:
        facts = facts.model_copy(update={"warnings": [*facts.warnings, tried]})
    what = "This spec was already planned and has not started" if made.existed else "Planned"
    summary = f"{what}: {len(facts.steps)} steps on {found.n_obs_in_scope} cells of {len(found.patients)} patients."
    if state.holdout is not None:
        summary += f" {state.holdout.n_patients} more patients ({state.holdout.n_cells} cells) are put aside."
    place: dict[str, object] = {"run_id": run.run_id, "step": state.step, "status": state.status}
    place |= {"run_dir": str(run.path), "parent_run_id": state.parent_run_id}
    place |= {"configurations_tried": state.configurations_tried}
    return facts.model_copy(update=place | {"summary": summary, "next": next_call(state)})
