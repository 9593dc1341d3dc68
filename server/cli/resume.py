"""Find the unfinished run of a goal spec, or say how the nearest one differs from it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stagewright.state.ledger import Ledger
from stagewright.state.refusals import LedgerCorrupt, Refusal
from stagewright.state.run_directory import RunDirectory, list_runs
from stagewright.state.run_state import RunState
from stagewright.state.spec import GoalSpec, load_spec
from stagewright.state.spec.differences import spec_differences

__all__ = ["Relative", "find_begun", "find_relative", "find_unfinished"]

SHOWN = 6


@dataclass(frozen=True, slots=True)
class Relative:
    """An unfinished run of nearly the same study."""

    run: RunDirectory
    state: RunState
    differences: tuple[str, ...]


def find_unfinished(root: Path, spec_digest: str) -> RunDirectory | None:
    """Return the newest unfinished run of a spec on the same data, by their common digest."""
    for run, state in _unfinished(root):
        if state.spec_digest == spec_digest:
            return run
    return None


def find_begun(root: Path, spec: GoalSpec) -> list[RunDirectory]:
    """Return the unfinished runs of this very spec in which something was done, newest first.

    One in which nothing was done yet is no rival: planning the spec again takes it up.
    """
    found: list[RunDirectory] = []
    for run, state in _unfinished(root):
        if state.attempt == 0 and state.last_decision is None:
            continue
        try:
            sealed = load_spec(run.spec)
        except Refusal:
            continue
        if not spec_differences(sealed, spec):
            found.append(run)
    return found


def find_relative(root: Path, spec: GoalSpec) -> Relative | None:
    """Return the newest unfinished run that shares its objective or its data file with `spec`, and how it differs."""
    for run, state in _unfinished(root):
        try:
            sealed = load_spec(run.spec)
        except Refusal:
            continue
        if sealed.objective != spec.objective and Path(sealed.data.path).name != Path(spec.data.path).name:
            continue
        differences = spec_differences(sealed, spec)
        if not differences:  # the declarations agree, so the digests differ by the data
            differences.append("the content of the data file (its sha256)")
        more = [] if len(differences) <= SHOWN else [f"and {len(differences) - SHOWN} more"]
        return Relative(run, state, (*differences[:SHOWN], *more))
    return None


def _unfinished(root: Path) -> Iterator[tuple[RunDirectory, RunState]]:
    for run in list_runs(root):
        try:
            state = Ledger(run).fold()
        except LedgerCorrupt:
            continue  # `verify` says what is wrong with it; a damaged run is not taken up
        if not state.finished:
            yield run, state
