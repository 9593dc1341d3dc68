"""Find the data that a run sealed, and compare every byte of them with the seal before anything is executed."""

from pathlib import Path

from stagewright.state.canonical import data_bytes, digest_data
from stagewright.state.refusals import Refusal
from stagewright.state.run_directory import RunDirectory
from stagewright.state.run_state import RunState
from stagewright.state.spec import GoalSpec
from stagewright.state.units import format_bytes
from stagewright.tools.sealed_data import locate_data
from stagewright.tools.workspace import Workspace

__all__ = ["same_data"]


def same_data(workspace: Workspace, run: RunDirectory, state: RunState, spec: GoalSpec, given: Path | None) -> Path:
    """Return where the sealed data lie now.

    Parameters
    ----------
    given
        The file that the caller names; None to look where the run may have them.

    Raises
    ------
    Refusal
        `invalid_data` when they are gone or others.
    """
    sealed = state.data
    if given is None:
        try:
            path = Path(locate_data(workspace, run, state, spec).path)
        except Refusal as refusal:
            said = refusal.message.partition(". Put it")[0]
            raise _refused(run, f"{said}. Put it back, or name it where it lies now with --data FILE.") from refusal
    else:
        path = given.resolve()
        if not path.exists():
            raise _refused(run, f"--data {given}: there is no such file.")
    try:
        same = data_bytes(path) == sealed.bytes and digest_data(path) == sealed.sha256
    except OSError as error:
        raise _refused(run, f"{path} cannot be read: {error}. Mend that, or name a copy with --data FILE.") from error
    if not same:
        raise _refused(
            run,
            f"{path} does not hold the data that this run sealed ({format_bytes(sealed.bytes)}, sha256 "
            f"{sealed.sha256}): it was changed, or is another file. On other data there is nothing to reproduce; name "
            "a file with that content with --data FILE.",
        )
    return path


def _refused(run: RunDirectory, message: str) -> Refusal:
    return Refusal("invalid_data", message, run_id=run.run_id)
