"""run_manifest.yaml: what ran, on what data, with which code and settings, and what came out of it.

Written when the run is planned and again after each attempt, verdict, decision and approval, for people and for other
programs. Like RUN_STATE.json it follows the ledger and decides nothing.
"""

import hashlib
import json
import sys
from collections.abc import Mapping

import yaml
from pydantic import BaseModel, JsonValue

from stagewright.state.artifacts import Outcome
from stagewright.state.canonical import digest_json
from stagewright.state.machine import this_machine
from stagewright.state.packages import own_code_digest, package_versions
from stagewright.state.run_state import RunState
from stagewright.state.spec.goal import GoalSpec
from stagewright.state.threads import PINNED_THREADS
from stagewright.state.without_secrets import without_secrets

__all__ = [
    "LATER",
    "CodeState",
    "DataFacts",
    "digest_planned",
    "manifest_text",
    "new_manifest",
    "read_manifest",
    "updated_manifest",
]

_Dumper = yaml.CSafeDumper if yaml.__with_libyaml__ else yaml.SafeDumper  # the same text, ten times faster
_Loader = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader

FOLLOWS = frozenset({"params", "artifacts", "executors", "computed_with"})
RUN_FOLLOWS = frozenset({"status", "finished_at_utc", "configurations_tried"})
LATER = ("holdout", "holdout_score")
"""What `updated_manifest` writes anew, in the manifest and in its `run`, and what it adds; the rest stays as it is."""


class CodeState(BaseModel):
    """The state of the checkout that a run was launched from; all None outside a git repository."""

    git_commit: str | None = None
    git_branch: str | None = None
    git_dirty: bool | None = None


class DataFacts(BaseModel):
    """What was found in the data file at planning."""

    n_obs: int
    n_vars: int
    n_obs_in_scope: int
    filters: list[str]


def new_manifest(
    state: RunState,
    spec: GoalSpec,
    *,
    command: list[str],
    launched_at: str,
    code: CodeState,
    data: DataFacts,
) -> dict[str, JsonValue]:
    """Return the manifest of a run that was just planned."""
    packages: dict[str, JsonValue] = {**package_versions()}
    return {
        "run": {
            "run_id": state.run_id,
            "objective": state.objective,
            "command": [*without_secrets(command)],
            "launched_at_utc": launched_at,
            "finished_at_utc": None,
            "status": state.status,
            "parent_run_id": state.parent_run_id,
            "configurations_tried": _tried(state),
        },
        "code": code.model_dump(mode="json") | {"stagewright_sha256": own_code_digest(), "packages": packages},
        "data": {
            "path": state.data.path,
            "sha256": state.data.sha256,
            "bytes": state.data.bytes,
            "gene_lists": {**(state.data.gene_lists or {})},
            "shape": [data.n_obs, data.n_vars],
            "n_obs_in_scope": data.n_obs_in_scope,
            "filters": [*data.filters],
        },
        "params": _params(state, spec),
        "gates": {gate.name: gate.code_sha256 or gate.kind for gate in state.gates_sealed},
        "artifacts": {},
        "executors": {},
        "computed_with": [],
        "environment": {
            "python": sys.version.split()[0],
            **this_machine().model_dump(mode="json", exclude_none=True),
            "threads": dict.fromkeys(PINNED_THREADS, "1"),  # in every child process
        },
        "notes": [],
    }


def updated_manifest(
    manifest: dict[str, JsonValue],
    state: RunState,
    spec: GoalSpec,
    *,
    finished_at: str | None,
    outcomes: Mapping[str, Outcome],
) -> dict[str, JsonValue]:
    """Return a manifest brought up to the present state; what was recorded at planning stays.

    Parameters
    ----------
    outcomes
        Of the sealed steps: what each wrote, and what it ran on, where it had anything to run.
    """
    run = manifest.get("run")
    listed: dict[str, JsonValue] = {
        step: [{"path": item.path, "bytes": item.bytes, "sha256": item.sha256} for item in outcome.artifacts]
        for step, outcome in outcomes.items()
    }
    ended: dict[str, JsonValue] = {
        "status": state.status,
        "finished_at_utc": finished_at,
        "configurations_tried": _tried(state),
    }
    return manifest | {
        "run": (run if isinstance(run, dict) else {}) | ended,
        "params": _params(state, spec),
        "artifacts": listed,
        "holdout": None if state.holdout is None else state.holdout.model_dump(mode="json"),
        "holdout_score": None if state.holdout_score is None else state.holdout_score.model_dump(mode="json"),
        "executors": {
            step: outcome.executor.model_dump(mode="json", exclude_none=True)
            for step, outcome in outcomes.items()
            if outcome.executor is not None
        },
        "computed_with": _computed_with(outcomes),
    }


def digest_planned(manifest: dict[str, JsonValue]) -> str:
    """Return the sha256 over what a manifest keeps from planning to the end, in its order; the first entry seals it."""
    kept = {key: None if key in FOLLOWS else value for key, value in manifest.items() if key not in LATER}
    run = manifest.get("run")
    if isinstance(run, dict):
        kept["run"] = {key: None if key in RUN_FOLLOWS else value for key, value in run.items()}
    return hashlib.sha256(json.dumps(kept).encode()).hexdigest()


def _computed_with(outcomes: Mapping[str, Outcome]) -> list[JsonValue]:
    """Return what the steps computed with, each state of software and processor once, with the steps that had it."""
    found: dict[str, dict[str, JsonValue]] = {}
    steps: dict[str, list[JsonValue]] = {}
    for step, outcome in outcomes.items():
        if outcome.computed_with is not None:
            facts = outcome.computed_with.model_dump(mode="json", exclude_none=True)
            found[digest_json(facts)] = facts
            steps.setdefault(digest_json(facts), []).append(step)
    return [{"steps": steps[digest], **facts} for digest, facts in found.items()]


def _tried(state: RunState) -> dict[str, JsonValue]:
    return {
        "in_all": state.configurations_tried,
        "in_this_run": len(state.configurations),
        "in_other_runs": {run_id: len(tried.configurations) for run_id, tried in state.tried_before.items()},
    }


def _params(state: RunState, spec: GoalSpec) -> dict[str, JsonValue]:
    return {
        "stages": [*spec.stages],
        "preprocess": [entry.model_dump(mode="json", exclude_none=True) for entry in spec.preprocess],
        "normalisation": spec.normalisation.model_dump(mode="json"),
        "methods": [*spec.reduction.methods],
        "k_by_method": {method: [*spec.reduction.ks(method)] for method in spec.reduction.methods},
        "k_chosen": {**state.k_by_method},
        "seeds": [*spec.reduction.seeds],
        "cv": spec.classifier.cv.model_dump(mode="json"),
        "adjustments": state.adjustments.model_dump(mode="json", exclude_none=True),
    }


def manifest_text(document: dict[str, JsonValue]) -> str:
    """Return the manifest as YAML."""
    return str(yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120))


def read_manifest(text: str) -> dict[str, JsonValue]:
    """Return a manifest from its YAML; empty when it is not one (it decides nothing, and is then written anew)."""
    try:
        manifest = yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe one, whichever of the two
    except yaml.YAMLError:
        return {}
    return manifest if isinstance(manifest, dict) else {}
