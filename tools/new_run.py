"""Make a run directory: whole or not at all, and once for the same study that has not started."""

import hashlib
import shutil
import sys
import tempfile
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from pydantic import JsonValue

from stagewright.state.canonical import digest_file
from stagewright.state.chain import GENESIS, Head
from stagewright.state.clock import stamp, utc_now
from stagewright.state.custom_gate import SealedGate
from stagewright.state.durable import sync_folder, sync_tree, write_durably
from stagewright.state.events import RunPlanned, as_recorded
from stagewright.state.head_file import head_path, head_text
from stagewright.state.holdout import HoldoutSeal
from stagewright.state.layout import gene_list_file
from stagewright.state.ledger import Ledger
from stagewright.state.lock import run_lock
from stagewright.state.manifest import CodeState, DataFacts, digest_planned, manifest_text, new_manifest
from stagewright.state.plan import plan_document, plan_steps
from stagewright.state.records import Limits, SealedData
from stagewright.state.refusals import LedgerCorrupt, Refusal
from stagewright.state.run_directory import EXPERIMENTS, LOG_NAMES, RunDirectory, list_runs, name_run
from stagewright.state.run_state import RunState
from stagewright.state.spec import GoalSpec
from stagewright.state.survey import Survey
from stagewright.state.transitions import advance
from stagewright.state.tried import setting_of
from stagewright.tools.children import git_facts
from stagewright.tools.other_trials import OtherTrials, other_trials
from stagewright.tools.workspace import Workspace

__all__ = ["MadeRun", "NewRun", "make_or_find"]

LOOKBACK = 20
BUILDING = ".new-"


@dataclass(frozen=True, slots=True)
class NewRun:
    """Everything that a run directory starts with.

    Attributes
    ----------
    text
        The goal spec as it was given.
    digest
        Tells this study from another: its declaration and its data.
    parent
        The run that the caller says this one varies; without one, the newest that asked the same of the same data.
    units
        Units of work of each step.
    gene_lists
        Content of each gene list.
    holdout
        What the run keeps of its sealed hold-out.
    gates
        The gates that judge the run.
    """

    text: str
    spec: GoalSpec
    digest: str
    data: SealedData
    found: Survey
    parent: str | None
    units: dict[str, int]
    warnings: list[str]
    gene_lists: list[bytes] = field(default_factory=list)
    holdout: HoldoutSeal | None = None
    gates: tuple[SealedGate, ...] = ()


@dataclass(frozen=True, slots=True)
class MadeRun:
    """A run that was made, or was found to `exist`, and what other runs tried on its data and label."""

    run: RunDirectory
    state: RunState
    existed: bool
    others: OtherTrials


def make_or_find(workspace: Workspace, new: NewRun) -> MadeRun:
    """Make the run, or find it if it was planned before and has not started; say which of the two.

    Raises
    ------
    Refusal
        `over_cap` when there are as many runs under the root as the operator allows.
    """
    experiments = workspace.root / EXPERIMENTS
    experiments.mkdir(parents=True, exist_ok=True)
    with run_lock(experiments / ".lock", run_id=None):  # two planners would each not find the other's run
        for left in experiments.glob(f"{BUILDING}*"):  # by a planner that died: no other plans while this lock is held
            shutil.rmtree(left, ignore_errors=True)
        others = other_trials(workspace, new.data.sha256, new.spec.data.label, parent=new.parent)
        parents = (None, others.newest) if new.parent is None else (new.parent,)
        runs = list(list_runs(workspace.root))
        for run in runs[:LOOKBACK]:
            if (state := _unstarted(run, new.digest, parents)) is not None:
                return MadeRun(run, state, existed=True, others=others)
        if len(runs) >= workspace.policy.caps.runs:
            raise Refusal("over_cap", f"there are {len(runs)} runs under the root, which is the operator's cap")
        run, state = _make(workspace, experiments, replace(new, parent=new.parent or others.newest), others)
        return MadeRun(run, state, existed=False, others=others)


def _unstarted(run: RunDirectory, digest: str, parents: tuple[str | None, ...]) -> RunState | None:
    try:
        state = Ledger(run).read()
    except LedgerCorrupt:
        return None
    same = state.spec_digest == digest and state.parent_run_id in parents
    return state if same and state.attempt == 0 and not state.finished and state.last_decision is None else None


def _make(workspace: Workspace, experiments: Path, new: NewRun, others: OtherTrials) -> tuple[RunDirectory, RunState]:
    moment, again = utc_now(), 0
    name = name_run(new.spec.objective, new.digest, moment)
    while (experiments / name).exists():
        again += 1
        name = name_run(new.spec.objective, new.digest, moment, again=again)
    building = Path(tempfile.mkdtemp(prefix=BUILDING, dir=experiments))
    try:
        state = _fill(RunDirectory(building / name), workspace, new, others, moment)
        (building / name).rename(experiments / name)
        sync_folder(experiments)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return RunDirectory(experiments / name), state


def _fill(run: RunDirectory, workspace: Workspace, new: NewRun, others: OtherTrials, moment: datetime) -> RunState:
    """Write the files that a run begins with; nobody else knows the folder yet."""
    spec, found = new.spec, new.found
    (run.path / "logs").mkdir(parents=True)
    (run.path / "attempts").mkdir()
    write_durably(run.spec, new.text)
    for content in new.gene_lists:
        kept = run.path / gene_list_file(hashlib.sha256(content).hexdigest())
        kept.parent.mkdir(exist_ok=True)
        kept.write_bytes(content)
        sync_tree([kept], run.path)
    limits = Limits(runtime_s=spec.budget.runtime, memory_bytes=spec.budget.memory, retries=spec.budget.retries)
    write_durably(run.plan, plan_document(run.run_id, spec, limits, new.units, new.warnings, new.holdout))
    for name in LOG_NAMES:
        run.log(name).touch()
        write_durably(head_path(run.log(name)), head_text(Head(0, GENESIS)))
    sync_tree([run.log(name) for name in LOG_NAMES], run.path)
    planned = RunPlanned(
        message=f"planned {len(new.units)} steps on {found.n_obs_in_scope} cells of {len(found.patients)} patients",
        actor=workspace.actor,
        run_id=run.run_id,
        objective=spec.objective,
        steps=plan_steps(spec),
        spec_sha256=digest_file(run.spec),
        spec_digest=new.digest,
        plan_sha256=digest_file(run.plan),
        data=new.data,
        limits=limits,
        approvals=spec.approvals,
        parent_run_id=new.parent,
        spec=spec.model_dump(mode="json", exclude_none=True),
        holdout=new.holdout,
        cells_by_patient=tuple(sorted((item.positive + item.negative for item in found.patients), reverse=True)),
        gates=new.gates,
        setting=setting_of(spec),
        tried_before=others.tried,
    )
    document = _manifest(workspace, new, advance(None, as_recorded(planned)), moment)
    state = Ledger(run).first(planned.model_copy(update={"manifest_sha256": digest_planned(document)}), moment)
    run.manifest.write_text(manifest_text(document), encoding="utf-8")
    return state


def _manifest(workspace: Workspace, new: NewRun, state: RunState, moment: datetime) -> dict[str, JsonValue]:
    found = new.found
    commit, branch, dirty = git_facts(workspace.root, trusted=workspace.trusted)
    return new_manifest(
        state,
        new.spec,
        command=[word.encode(errors="replace").decode() for word in sys.argv],
        launched_at=stamp(moment),
        code=CodeState(git_commit=commit, git_branch=branch, git_dirty=dirty),
        data=DataFacts(
            n_obs=found.n_obs,
            n_vars=found.n_vars,
            n_obs_in_scope=found.n_obs_in_scope,
            filters=[*found.filters],
        ),
    )
