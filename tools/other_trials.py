"""What other runs under the root tried on the same data and label: whoever plans again starts from their count.

Two runs ask the same of the same data when the bytes of the data file, the label's column and at least one of its two
classes are the same. The objective is not part of it, because it is words: another wording is no new question. Nor are
filters, time points, or the other class: to look at another share of the same labels is one more try. Runs about two
disjoint pairs of classes have no labelled cell in common, and are two questions.

Every run under the root counts, unfinished and stopped ones too, whoever is named as the parent. Logs are read as far
as they can be: a damaged record may say less than there was, never less than it holds.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from pydantic import JsonValue, ValidationError

from stagewright.state.chain import Entry
from stagewright.state.run_directory import RunDirectory, list_runs
from stagewright.state.run_state import RunState
from stagewright.state.sealed_spec import declared_spec
from stagewright.state.spec.data import Label
from stagewright.state.tried import Tried, count_tried, merged_tried
from stagewright.tools.workspace import Workspace

__all__ = ["OtherTrials", "newly_tried", "other_trials"]


@dataclass(frozen=True, slots=True)
class OtherTrials:
    """What was tried on the same data and label.

    Attributes
    ----------
    newest
        The newest of these runs that was ever executed; one that was only planned has tried nothing.
    runs
        How many of them were executed.
    """

    newest: str | None = None
    runs: int = 0
    tried: dict[str, Tried] = field(default_factory=dict)

    def said(self) -> str | None:
        """Return a warning for whoever plans once more; None when there is nothing to warn of."""
        if self.newest is None:
            return None
        runs = "1 run" if self.runs == 1 else f"{self.runs} runs"
        return (
            f"the same data and label were studied before, in {runs} under this root, newest {self.newest}: "
            f"the count of configurations tried starts from {count_tried(self.tried)} and cannot be lowered"
        )


def other_trials(
    workspace: Workspace, data_sha256: str, label: Label, *, without: str | None = None, parent: str | None = None
) -> OtherTrials:
    """Return what the runs under the root, and those that the workspace knows of elsewhere, tried on the same.

    Parameters
    ----------
    without
        A run that is not to be counted: the one that asks.
    parent
        A run that counts whatever it is about, because the caller says that the new run varies it.
    """
    began: dict[str, str] = {}
    tried: dict[str, Tried] = {**workspace.tried_elsewhere}
    for run in list_runs(workspace.root):
        entries = _readable(run)
        first = next(entries, {})
        if run.run_id == without or not (run.run_id == parent or _asks_the_same(first, data_sha256, label)):
            continue
        started = False
        own = Tried(setting=str(first.get("setting") or run.run_id), configurations=())
        tried = merged_tried(tried, _tried_before(first))
        for entry in entries:
            started |= entry.get("event") == "attempt_started"
            tried = merged_tried(tried, _tried_before(entry))
            own = own.model_copy(update={"configurations": (*own.configurations, *_scored(entry))})
        if own.configurations:
            tried = merged_tried(tried, {run.run_id: own})
        if started:
            began[run.run_id] = str(first.get("at", ""))  # two ids of one second do not say which is newer
    tried.pop(without or "", None)
    newest = max(began, key=lambda run_id: (began[run_id], run_id), default=None)
    return OtherTrials(newest, len(began), tried)


def newly_tried(workspace: Workspace, run: RunDirectory, state: RunState) -> dict[str, Tried]:
    """Return what other runs have tried by now and a run's ledger does not say yet."""
    label = declared_spec(run).data.label
    tried = other_trials(workspace, state.data.sha256, label, without=state.run_id).tried
    merged = merged_tried(state.tried_before, tried)
    return {name: item for name, item in merged.items() if item != state.tried_before.get(name)}


def _asks_the_same(first: Entry, data_sha256: str, label: Label) -> bool:
    data, spec = first.get("data"), first.get("spec")
    if not isinstance(data, dict) or data.get("sha256") != data_sha256:
        return False
    scope = spec.get("data") if isinstance(spec, dict) else None
    try:
        other = Label.model_validate(scope.get("label") if isinstance(scope, dict) else None)
    except ValidationError:
        return True  # a record that does not say its label may have looked at any
    shared = {label.positive, label.negative} & {other.positive, other.negative}
    return label.column == other.column and bool(shared)


def _tried_before(entry: Entry) -> dict[str, Tried]:
    recorded = entry.get("tried_before")
    if not isinstance(recorded, dict):
        return {}
    try:
        return {name: Tried.model_validate(item) for name, item in recorded.items()}
    except ValidationError:
        return {}


def _scored(entry: Entry) -> list[str]:
    names: JsonValue = entry.get("configurations") if entry.get("event") == "attempt_finished" else None
    return [str(name) for name in names] if isinstance(names, list) else []


def _readable(run: RunDirectory) -> Iterator[Entry]:
    """Yield the entries of a run's ledger that can be read, without asking whether they hold together."""
    try:
        with run.log("agent_run").open("rb") as lines:
            for line in lines:
                try:
                    entry = json.loads(line)
                except ValueError:  # damaged, or still being written
                    entry = {}
                yield entry if isinstance(entry, dict) else {}
    except OSError:
        return
