"""The folder of an attempt: made before the ledger names it, complete before anybody works in it."""

import shutil
from pathlib import Path

from stagewright.state.canonical import digest_file
from stagewright.state.durable import sync_folder, write_durably
from stagewright.state.executor import ExecutorChoice
from stagewright.state.refusals import LedgerCorrupt
from stagewright.state.run_directory import RunDirectory
from stagewright.state.step_request import StepRequest

__all__ = [
    "CONTEXT",
    "FAILURE",
    "PROGRESS",
    "REQUEST",
    "RESULT",
    "SCRATCH",
    "TRACEBACK",
    "UNITS",
    "WORKER_LOG",
    "discard_staging",
    "open_attempt",
    "read_request",
    "seal_files",
    "tail_lines",
]

REQUEST = "request.json"
PROGRESS = "progress.json"
RESULT = "result.json"
FAILURE = "failure.json"
TRACEBACK = "traceback.txt"
UNITS = "units.json"
WORKER_LOG = "worker.log"
CONTEXT = "context.json"
SCRATCH = "scratch"
LEFT_BY_ATTEMPT = (WORKER_LOG, PROGRESS, UNITS, TRACEBACK, CONTEXT, FAILURE)
TAIL_BYTES = 16_384
LINE_CHARS = 120


def open_attempt(run: RunDirectory, request: StepRequest) -> tuple[Path, str]:
    """Make the folder of an attempt with its `request.json`; return the folder and the request's sha256.

    What a call that died before its ledger entry left under this number was never acknowledged, and is written over.
    """
    folder = run.attempt(request.attempt, request.step)
    if folder.is_symlink() or folder.parent.is_symlink() or folder.parent.parent.is_symlink():
        raise LedgerCorrupt(f"{folder} goes through a link, which no run of ours has: work there could leave the run")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / REQUEST
    write_durably(path, request.model_dump_json(indent=1) + "\n")
    sync_folder(folder.parent)
    return folder, digest_file(path)


def discard_staging(folder: Path, executor: ExecutorChoice) -> None:
    """Remove what an attempt that did not end well had staged, to give the space back; finished units are in the cache.

    Parameters
    ----------
    folder
        The attempt's.
    executor
        Where its heavy calls ran: a worker that was killed has left their arguments in the folder for them.
    """
    scratch = folder / SCRATCH
    for left in (folder / "staging", folder / "units", scratch, executor.scratch_of(scratch)):
        shutil.rmtree(left, ignore_errors=True)


def seal_files(folder: Path, *, without: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the sha256 of each file that an attempt leaves behind, by name, once nothing of it is at work.

    Its request and its outcome are sealed by themselves; its supervisor still writes to `supervisor.log`.

    Parameters
    ----------
    without
        Files that somebody may still write to.
    """
    names = [name for name in LEFT_BY_ATTEMPT if name not in without and not (folder / name).is_symlink()]
    return {name: digest_file(folder / name) for name in names if (folder / name).is_file()}


def read_request(folder: Path) -> StepRequest:
    """Return the request of an attempt."""
    return StepRequest.model_validate_json((folder / REQUEST).read_bytes())


def tail_lines(path: Path, count: int) -> tuple[str, ...]:
    """Return the last lines of a log file, long ones cut, reading only its end; empty when there is no such file."""
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - TAIL_BYTES))
            lines = file.read().decode("utf-8", errors="replace").splitlines()[-count:]
            return tuple(line if len(line) <= LINE_CHARS else line[:LINE_CHARS] + "..." for line in lines)
    except FileNotFoundError:
        return ()
