"""Find the data file that a run sealed, also when the run directory or the data were moved to another place."""

from collections.abc import Iterator
from pathlib import Path

from stagewright.state.canonical import data_bytes, digest_data
from stagewright.state.records import SealedData
from stagewright.state.refusals import Refusal
from stagewright.state.run_directory import RunDirectory
from stagewright.state.run_state import RunState
from stagewright.state.spec import GoalSpec
from stagewright.state.units import format_bytes
from stagewright.tools.workspace import Workspace

__all__ = ["locate_data"]


def locate_data(workspace: Workspace, run: RunDirectory, state: RunState, spec: GoalSpec) -> SealedData:
    """Return the sealed data with the path at which they lie now.

    That is the path at planning, if it lies under the root or a data root and a file of the sealed size is there: the
    worker compares its content. Else, because a run may have been copied to another place, the first file with the
    sealed content at the place that the spec names relative to the root, or of the same name in the root or in one of
    the operator's data roots; and last the path at planning, wherever it lies.

    Raises
    ------
    Refusal
        `invalid_data` when there is none; it names the places that were looked at.
    """
    sealed = state.data
    at_planning = Path(sealed.path)
    near = any(at_planning.is_relative_to(folder) for folder in (workspace.root, *workspace.policy.data_roots))
    if near and _has_size(at_planning, sealed.bytes):
        return sealed
    looked = [place for place in dict.fromkeys(_places(workspace, run, spec)) if place != at_planning]
    for place in looked:  # of a run that was copied with its data, the copy and not the original
        if _has_size(place, sealed.bytes) and digest_data(place) == sealed.sha256:
            return sealed.model_copy(update={"path": str(place)})
    if _has_size(at_planning, sealed.bytes):
        return sealed
    why = "is another file now" if at_planning.exists() else "is not there"
    elsewhere = f", and none with its content lies at {', '.join(map(str, looked))}" if looked else ""
    raise Refusal(
        "invalid_data",
        f"the data file that was sealed at planning, {at_planning} ({format_bytes(sealed.bytes)}, sha256 "
        f"{sealed.sha256[:12]}...), {why}{elsewhere}. Put it "
        f"{'at one of these places' if looked else 'there'}, then make the same call again; nothing was started.",
        run_id=run.run_id,
        status=f"{state.status} at {state.step}",
    )


def _places(workspace: Workspace, run: RunDirectory, spec: GoalSpec) -> Iterator[Path]:
    named = Path(spec.data.path)
    roots = [workspace.root, run.path.parent.parent, *workspace.policy.data_roots]
    if not named.is_absolute():
        yield from ((root / named).resolve() for root in roots)
    yield from ((root / named.name).resolve() for root in roots)


def _has_size(path: Path, size: int) -> bool:
    try:
        return (path.is_file() or path.is_dir()) and data_bytes(path) == size
    except OSError:
        return False
