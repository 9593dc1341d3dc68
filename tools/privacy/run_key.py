"""Which key names the patients of a run: made with the first run that wants one, and the same for ever after."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stagewright.state.chain import ChainedLog
from stagewright.state.pseudonym_key import KEY_NAME, KeyUnusable, PseudonymKey, id_of_key, make_key, read_key
from stagewright.state.refusals import Refusal
from stagewright.state.run_directory import RunDirectory, list_runs
from stagewright.state.run_state import RunState
from stagewright.state.spec import GoalSpec
from stagewright.tools.workspace import Workspace

__all__ = ["key_of_run", "planning_key"]


@contextmanager
def planning_key(workspace: Workspace, spec: GoalSpec, *, dry_run: bool) -> Iterator[PseudonymKey | None]:
    """Give the key for a run that is about to be planned, made if there is none; None where ids are shown.

    A dry run makes none: where there is none it is given one for as long as the block lasts.

    Raises
    ------
    Refusal
        `unavailable` when the key that earlier runs had is gone, or the operator's file cannot be used.
    """
    if spec.privacy == "none":
        yield None
        return
    path = workspace.pseudonym_key
    if path.exists() or workspace.policy.privacy.key_file is not None:
        yield _read(path)
        return
    earlier = _first_with_key(workspace)
    if earlier is not None:
        raise Refusal(
            "unavailable",
            f"{path} is gone, by which earlier runs, {earlier} among them, name patients; under a new one the same "
            "patients would have other names. Put it back; if it is lost for good, make a new key (openssl rand -hex "
            "32 > FILE; chmod 600 FILE) and let the operator name it in stagewright.toml: [privacy] key_file.",
        )
    if dry_run:
        with tempfile.TemporaryDirectory(prefix="stagewright-") as folder:
            make_key(Path(folder) / KEY_NAME)
            yield _read(Path(folder) / KEY_NAME)
        return
    make_key(path)
    yield _read(path)


def key_of_run(workspace: Workspace, run: RunDirectory, state: RunState) -> PseudonymKey | None:
    """Return the key of a run, looked for where the operator says, beside the run and under the root.

    Raises
    ------
    Refusal
        `unavailable` when none of them is the run's.
    """
    if state.pseudonym_key_id is None:
        return None
    faults = []
    for path in dict.fromkeys([workspace.pseudonym_key, run.path.parent / KEY_NAME]):
        try:
            read_key(path, state.pseudonym_key_id)
        except KeyUnusable as error:
            faults.append(str(error))
        else:
            return PseudonymKey(key_file=str(path), key_id=state.pseudonym_key_id)
    raise Refusal(
        "unavailable",
        f"{'; '.join(faults)}. Another key would give the patients of this run other names. Put the run's key back, "
        "or let the operator name it in stagewright.toml: [privacy] key_file; then make the same call again. If it is "
        "lost for good, the run can only be stopped, and planned anew under another key.",
        run_id=run.run_id,
        status=f"{state.status} at {state.step}",
    )


def _read(path: Path) -> PseudonymKey:
    try:
        return PseudonymKey(key_file=str(path), key_id=id_of_key(read_key(path)))
    except KeyUnusable as error:
        what = f"{error}; a key is at least 32 characters that nobody can guess: openssl rand -hex 32"
        raise Refusal("unavailable", f"privacy: {what}.") from error


def _first_with_key(workspace: Workspace) -> str | None:
    for run in list_runs(workspace.root):
        try:
            first = next(ChainedLog(run.log("agent_run")).entries(), {})
        except (OSError, ValueError):
            continue
        if first.get("pseudonym_key_id") is not None:
            return run.run_id
    return None
