"""Find the unfinished run of a goal spec, or say how the nearest one differs from it."""

import shlex
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from stagewright.server.cli.session import Session
from stagewright.state.ledger import Ledger
from stagewright.state.refresh_manifest import refresh_manifest
from stagewright.state.refusals import LedgerCorrupt, Refusal
from stagewright.state.run_directory import RunDirectory, list_runs
from stagewright.state.run_state import RunState
from stagewright.state.sealed_spec import declared_spec
from stagewright.state.spec import GoalSpec, load_spec
from stagewright.state.spec.differences import spec_differences

__all__ = ["Relative", "find_begun", "find_relative", "find_unfinished", "unfinished_run"]

SHOWN = 6


@dataclass(frozen=True, slots=True)
class Relative:
    """An unfinished run of nearly the same study.

    Attributes
    ----------
    edited
        Whether it is the same study, its objective and its data file, declared otherwise since.
    """

    run: RunDirectory
    state: RunState
    differences: tuple[str, ...]
    edited: bool


def unfinished_run(session: Session, spec: Path, digest: str | None) -> RunDirectory | None:
    """Return the newest unfinished run of a spec file; say which other study is unfinished where there is none.

    Parameters
    ----------
    digest
        Of the spec and its data, from planning it dry.

    Raises
    ------
    Refusal
        `sealed`, with the places that differ, when the newest unfinished run is of the same study and the spec was
        changed since that was sealed: to go on with something else under its name would move the goal posts.
    """
    root = session.workspace.root
    found = find_unfinished(root, digest) if digest is not None else None
    if found is None and digest is not None:
        _mend_finished(root, digest)
    relative = None if found is not None else find_relative(root, load_spec(spec))
    if relative is None:
        return found
    where = f"{relative.state.status} at {relative.state.step}"
    differences = "\n".join(f"  {difference}" for difference in relative.differences)
    if not relative.edited:
        session.err.print(
            f"There is an unfinished run {relative.run.run_id} ({where}), but it is of another spec: what was sealed "
            f"then -> what is declared now:\n{differences}\nThat one stays as it is.",
        )
        return None
    anew = session.typed.line(["run", shlex.quote(str(spec))])
    raise Refusal(
        "sealed",
        f"{spec} was changed since the unfinished run {relative.run.run_id} was sealed (sealed -> now):\n"
        f"{differences}\nRestore these places to take that run up. A study that differs in them is a new run, which is "
        f"started with\n  {anew}",
        run_id=relative.run.run_id,
        status=where,
    )


def _mend_finished(root: Path, digest: str) -> None:
    """Bring the manifest of a spec's newest finished run up to its end: whoever ended it may have died before that."""
    for run in list_runs(root):
        with suppress(LedgerCorrupt):
            state = Ledger(run).read()
            if state.spec_digest == digest and state.finished:
                with Ledger(run).transition() as transition:
                    refresh_manifest(run, transition.state)
                return


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
    """Return the unfinished run that is nearest to `spec`, and how it differs.

    That is the newest of the same study, its objective and its data file; else the newest that shares one of them.
    """
    found: list[Relative] = []
    for run, state in _unfinished(root):
        try:
            sealed = declared_spec(run)
        except (Refusal, LedgerCorrupt):
            continue
        same = sealed.objective == spec.objective, Path(sealed.data.path).name == Path(spec.data.path).name
        if not any(same):
            continue
        differences = spec_differences(sealed, spec)
        if not differences:  # the declarations agree, so the digests differ by the data
            differences.append("the content of the data file (its sha256), or what another version of Stagewright sets")
        more = [] if len(differences) <= SHOWN else [f"and {len(differences) - SHOWN} more"]
        found.append(Relative(run, state, (*differences[:SHOWN], *more), edited=all(same)))
    return next((one for one in found if one.edited), found[0] if found else None)


def _unfinished(root: Path) -> Iterator[tuple[RunDirectory, RunState]]:
    for run in list_runs(root):
        try:
            state = Ledger(run).fold()
        except LedgerCorrupt:
            continue  # `verify` says what is wrong with it; a damaged run is not taken up
        if not state.finished:
            yield run, state
