"""Make the root in which a run is reproduced: its spec with the data's present path, its gene lists, its hold-out."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import yaml
from pydantic import JsonValue

from stagewright.state.canonical import digest_file
from stagewright.state.events import RunPlanned
from stagewright.state.holdout import HoldoutDraw
from stagewright.state.layout import gene_list_file
from stagewright.state.lockbox import LOCKBOX, Lockbox
from stagewright.state.policy import HoldoutPolicy, Policy, PrivacyPolicy
from stagewright.state.pseudonym_key import PseudonymKey
from stagewright.state.refusals import LedgerCorrupt, Refusal
from stagewright.state.run_directory import RunDirectory
from stagewright.state.spec import GoalSpec
from stagewright.tools.workspace import Workspace

__all__ = ["FreshRoot", "SealedRun", "make_root"]

ACTOR = "reproduce"


@dataclass(frozen=True, slots=True)
class SealedRun:
    """The run that is reproduced.

    Attributes
    ----------
    spec
        From spec.yaml, checked against its seal: the ledger sorts the keys of a mapping, and columns are carried along
        in the order in which they were written.
    key
        By which patients are named; None where they are named by their ids.
    """

    run: RunDirectory
    planned: RunPlanned
    spec: GoalSpec
    key: PseudonymKey | None = None


@dataclass(frozen=True, slots=True)
class FreshRoot:
    """The place of the reproduction, the spec to plan there, and what is to be said of both."""

    workspace: Workspace
    spec: Path
    notes: tuple[str, ...]


def make_root(folder: Path, original: Workspace, sealed: SealedRun, data: Path, workers: int | None) -> FreshRoot:
    """Fill an empty folder.

    The spec is the sealed one but for what says where things lie and how long they may take, none of which any result
    depends on: the data's path, the run time, which is the operator's cap, and the workers where they are given.

    Raises
    ------
    Refusal
        `unavailable` when the policy has not the commands that the run names, `invalid_data` when a gene list at an
        absolute path is gone.
    """
    run, planned, spec = sealed.run, sealed.planned, sealed.spec
    policy = _policy(original.policy, spec, sealed.key)
    budget = spec.budget.model_copy(
        update={
            "runtime": max(spec.budget.runtime, policy.caps.runtime),
            "workers": spec.budget.workers if workers is None else workers,
        }
    )
    scope = spec.data.model_copy(update={"path": str(data)})
    declared = spec.model_copy(update={"data": scope, "budget": budget}).model_dump(mode="json")
    place = _write_spec(folder, run, planned, declared)
    notes = _holdout(folder, original, planned)
    workspace = Workspace(
        root=folder, policy=policy, actor=ACTOR, trusted=True, tried_elsewhere={**planned.tried_before}
    )
    return FreshRoot(workspace, place, notes)


def _policy(policy: Policy, spec: GoalSpec, key: PseudonymKey | None) -> Policy:
    """Return the operator's policy with a lock-box of the reproduction's own: the true one counts its questions."""
    queries = max(policy.holdout.queries, 0 if spec.holdout is None else spec.holdout.queries)
    privacy = policy.privacy if key is None else PrivacyPolicy(key_file=Path(key.key_file))
    return policy.model_copy(update={"holdout": HoldoutPolicy(queries=queries), "privacy": privacy})


def _write_spec(folder: Path, run: RunDirectory, planned: RunPlanned, declared: dict[str, JsonValue]) -> Path:
    """Write the spec so deep that the relative path of each gene list, which is part of its name, stays in the root."""
    lists = planned.data.gene_lists or {}
    depth = max((PurePosixPath(path).parts.count("..") for path in lists), default=0)
    home = folder.joinpath("spec", *["in"] * depth)
    home.mkdir(parents=True)
    for path, sha256 in lists.items():
        if Path(path).is_absolute():
            if not Path(path).is_file() or digest_file(Path(path)) != sha256:
                kept = run.path / gene_list_file(sha256)
                message = f"the gene list {path} is gone or changed; put {kept}, which is what was sealed, back there"
                raise Refusal("invalid_data", message, run_id=run.run_id)
            continue
        there = (home / path).resolve()
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_bytes((run.path / gene_list_file(sha256)).read_bytes())
    place = home / "spec.yaml"
    place.write_text(yaml.safe_dump(declared, sort_keys=False, allow_unicode=True, width=120), encoding="utf-8")
    return place


def _holdout(folder: Path, original: Workspace, planned: RunPlanned) -> tuple[str, ...]:
    """Tell the new lock-box whom the true one put aside, so that planning puts the same patients aside again."""
    if planned.holdout is None:
        return ()
    try:
        kept = original.lockbox.find(planned.holdout.commitment)
    except LedgerCorrupt as error:
        raise Refusal(
            "damaged", f"the lock-box in {original.lockbox.folder} does not hold together: {error}"
        ) from error
    if kept is None:
        unknown = f"the lock-box in {original.lockbox.folder} does not know this run's hold-out"
        return (f"{unknown} (another --policy or --root may name the one that does): it was drawn again",)
    drawn = HoldoutDraw(patients=kept.patients, digests=kept.digests, n_both=0, n_both_in_all=0, n_cells=0)
    Lockbox(folder / LOCKBOX).put_aside(drawn, kept.label_column, kept.queries)
    return ("the hold-out was scored in a lock-box of the reproduction's own; no query was counted",)
