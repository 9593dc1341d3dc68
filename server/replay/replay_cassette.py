"""Set up a fresh root for a cassette, play it through a server, and verify the record that comes of it."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stagewright.server.config import open_workspace
from stagewright.server.replay.transports import serve_command, speaking
from stagewright.server.replay.ways import Replay, Way
from stagewright.state.canonical import digest_file
from stagewright.state.custom_gate import CommandGate
from stagewright.state.policy import Caps, Policy
from stagewright.state.refusals import Refusal
from stagewright.state.run_directory import list_runs
from stagewright.state.step_request import CommandStage
from stagewright.tools.built_in_cohort import write_cohort
from stagewright.tools.children import ChildFailed
from stagewright.tools.replay.cassette import Cassette, DataFile
from stagewright.tools.replay.cassette_file import read_cassette
from stagewright.tools.replay.export_calls import export_calls
from stagewright.tools.replay.play import play
from stagewright.tools.replay.recorded_children import RecordedChildren
from stagewright.tools.verify_run import verify_run
from stagewright.tools.workspace import Workspace

__all__ = ["recorded_workspace", "replay", "updated"]


def replay(path: Path, way: Way) -> Iterator[Replay]:
    """Replay the cassette in a file; yield how far it is after each call, and at the end once more.

    Raises
    ------
    Refusal
        When the file is no cassette, or what a rerun needs is not there.
    """
    cassette = read_cassette(path)
    with _root(way) as root:
        done = Replay(cassette, way)
        workspace = _workspace(cassette, way, root, done)
        command = (
            [sys.executable, "-P", "-m", "stagewright.server.replay", str(path.resolve()), str(root)]
            if way.stages == "recorded"
            else serve_command(root, way.policy)
        )
        with speaking(cassette, workspace, way.transport, way.era, command) as send:
            for played in play(cassette, workspace, send, way.stages):
                done.calls.append(played)
                yield done
        runs = list(list_runs(root))
        for run in runs:
            found = verify_run(run)
            # What is played back has no artifacts, and says so; all else of the record has to hold.
            checkpoints = ("A/", "B/", "C/") if way.stages == "recorded" else ()
            done.problems += [problem for problem in found if not problem.file.startswith(checkpoints or ("\0",))]
        if way.stages == "rerun":
            done.again = export_calls(root, runs, with_root=True, note=cassette.header.note)
        yield done


def updated(done: Replay) -> Cassette:
    """Return the cassette with the answers of the replay in the place of the recorded ones.

    Of a rerun everything is taken anew; where outcomes were played back, the answers that differ.
    """
    if done.again is not None:
        header = done.cassette.header
        kept = {"note": header.note, "client": header.client, "tolerance": header.tolerance}
        return _with_header(done.again, kept)
    answers = {
        id(call.frame): call.frame.model_copy(update={"answer": call.answer, "refused": call.refused})
        for call in done.calls
        if call.frame.answer is not None and call.differences
    }
    frames = tuple(answers.get(id(frame), frame) for frame in done.cassette.frames)
    return done.cassette.model_copy(update={"frames": frames})


def _with_header(cassette: Cassette, update: dict[str, object]) -> Cassette:
    """Return a cassette with some fields of its header changed."""
    return cassette.model_copy(update={"header": cassette.header.model_copy(update=update)})


def recorded_workspace(cassette: Cassette, root: Path) -> Workspace:
    """Return a workspace whose children answer from the cassette, under a policy that knows the same commands."""
    header = cassette.header
    argv = ("recorded",)
    policy = Policy(
        caps=Caps(workers=header.workers),
        commands={name: CommandStage(argv=argv) for name in header.commands},
        gates={name: CommandGate(argv=argv, stages=stages) for name, stages in header.gates.items()},
    )
    return Workspace(root=root, policy=policy, children=RecordedChildren(cassette, root))


@contextmanager
def _root(way: Way) -> Iterator[Path]:
    if way.root is None:
        with tempfile.TemporaryDirectory(prefix="stagewright-replay-") as folder:
            yield Path(folder).resolve()
        return
    if way.root.exists() and any(way.root.iterdir()):
        raise Refusal("invalid_argument", f"--into {way.root} is not empty; a replay needs a fresh folder")
    way.root.mkdir(parents=True, exist_ok=True)
    yield way.root.resolve()


def _workspace(cassette: Cassette, way: Way, root: Path, done: Replay) -> Workspace:
    for name, text in cassette.header.files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    if way.stages == "recorded":
        for file in cassette.header.data:
            _stand_in(root / file.path, file.bytes)
        return recorded_workspace(cassette, root)
    for file in cassette.header.data:
        _put_data(file, root / file.path, way, done)
    return open_workspace(root, way.policy)


def _stand_in(place: Path, size: int) -> None:
    """Put a file of the sealed size where the data were: nobody reads it, but a step does not start without it."""
    part = place / "part" if place.suffix == ".zarr" else place
    part.parent.mkdir(parents=True, exist_ok=True)
    part.touch()
    os.truncate(part, size)  # sparse: it takes no room


def _put_data(file: DataFile, place: Path, way: Way, done: Replay) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if way.data is not None:
        if not way.data.is_file():
            raise Refusal("invalid_argument", f"--data {way.data}: there is no such file")
        shutil.copyfile(way.data, place)
    elif way.data_root is not None and (way.data_root / file.path).is_file():
        shutil.copyfile(way.data_root / file.path, place)
    elif file.built_in:
        try:
            for _ in write_cohort(place):
                pass
        except ChildFailed as error:
            raise Refusal("unavailable", f"the built-in cohort could not be simulated: {error.last_line}") from error
    else:
        what = f"the stages read {file.path} (sha256 {file.sha256}), which is in no cassette"
        raise Refusal("invalid_argument", f"{what}; give the file with --data, or replay with --stages recorded")
    if digest_file(place) != file.sha256:
        note = f"{file.path} is not the file of the record (another sha256): numbers may differ"
        if not file.built_in:
            raise Refusal("invalid_data", f"{note}; give the file that was recorded, sha256 {file.sha256}")
        done.notes.append(note)
