"""The one place in this room that starts processes.

A child never inherits the server's standard streams, which belong to the protocol; it runs with ``-P``, so that a
folder named like one of our rooms in the agent's working directory is never imported; and no shell is involved.
"""

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TypeVar

from pydantic import BaseModel

from stagewright.stages.worker_command import pinned_environment
from stagewright.state.lifeline import VARIABLE, lifeline
from stagewright.state.refusals import Refusal
from stagewright.tools.replies import Tick

__all__ = ["ChildFailed", "ask_child", "git_facts", "run_child", "run_program", "start_supervisor"]

Answer = TypeVar("Answer", bound=BaseModel)

POLL_S = 0.02
ERROR_CHARS = 1500


class ChildFailed(Exception):  # noqa: N818 - names what happened
    """A child process ended without an answer; the text is the end of what it said.

    Attributes
    ----------
    killed
        Whether a signal ended it, so that another may well answer.
    """

    def __init__(self, text: str, *, killed: bool = False) -> None:
        super().__init__(text)
        self.killed = killed

    @property
    def last_line(self) -> str:
        """What it said last: the error itself, without the traceback before it."""
        lines = str(self).strip().splitlines()
        return lines[-1] if lines else "it said nothing"


def start_supervisor(attempt: Path, alive: int) -> int:
    """Start the detached supervisor of an attempt and return its pid.

    Parameters
    ----------
    attempt
        The attempt's folder.
    alive
        The descriptor that holds `alive.lock`; the supervisor inherits it and holds the lock to its end.
    """
    with (attempt / "supervisor.log").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - our own module, no shell
            [sys.executable, "-P", "-m", "stagewright.stages", "supervise", str(attempt)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=(alive,),
            start_new_session=True,
            env=pinned_environment(),
            cwd=attempt,
        )
    threading.Thread(target=process.wait, daemon=True).start()  # so that it does not stay as a zombie
    return process.pid


def run_child(words: Sequence[str], timeout_s: float) -> Iterator[Tick]:
    """Run a child of the `stages` room that answers with a file or with its exit status; yield signs of life.

    Parameters
    ----------
    words
        The sub-command and its arguments, e.g. ``["cohort", "cohort.h5ad"]``.
    timeout_s
        When the child is given up, in seconds.

    Raises
    ------
    ChildFailed
        When the child failed or took too long.
    """
    with tempfile.TemporaryFile(prefix="stagewright-") as said:
        with _child(["stagewright.stages", *words], said) as process:
            yield from _wait(process, timeout_s)
        if process.returncode != 0:
            said.seek(0)
            end = said.read().decode("utf-8", errors="replace")[-ERROR_CHARS:]
            raise ChildFailed(f"{words[0]} ended with status {process.returncode}:\n{end}")


def ask_child(
    module: str,
    child: str | None,
    question: BaseModel,
    kind: type[Answer],
    timeout_s: float,
) -> Iterator[Tick | Answer]:
    """Ask a child process one question and yield signs of life, then its answer.

    Closing the iterator early ends the child: a question changes nothing, so nothing is lost.

    Parameters
    ----------
    module
        ``stagewright.stages`` or ``stagewright.gates``.
    child
        The sub-command, where the module has several.
    timeout_s
        When the child is given up, in seconds.

    Raises
    ------
    ChildFailed
        When the child ended without an answer or took too long.
    """
    with tempfile.TemporaryDirectory(prefix="stagewright-") as scratch:
        asked, answer, said = (Path(scratch) / name for name in ("question.json", "answer.json", "said.log"))
        asked.write_text(question.model_dump_json(), encoding="utf-8")
        words = [module, *([] if child is None else [child]), str(asked), str(answer)]
        with said.open("wb") as log, _child(words, log) as process:
            yield from _wait(process, timeout_s)
        try:
            yield kind.model_validate_json(answer.read_bytes())
        except (OSError, ValueError) as error:
            end = said.read_text(encoding="utf-8", errors="replace")[-ERROR_CHARS:]
            said_so = f"{module} ended with status {process.returncode} and no answer:\n{end}"
            raise ChildFailed(said_so, killed=process.returncode < 0) from error


@contextmanager
def _child(words: Sequence[str], said: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Start one of our modules; it ends with this process, and at the latest with the block."""
    with lifeline() as reading:
        process = subprocess.Popen(  # noqa: S603 - our own module, no shell
            [sys.executable, "-P", "-m", *words],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            pass_fds=(reading,),
            start_new_session=True,
            env=pinned_environment() | {VARIABLE: str(reading)},
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], timeout_s: float) -> Iterator[Tick]:
    started = time.monotonic()
    while process.poll() is None:
        waited = time.monotonic() - started
        if waited >= timeout_s:
            raise ChildFailed(f"no answer within {timeout_s:g} s")
        with suppress(subprocess.TimeoutExpired):
            process.wait(POLL_S)
        yield Tick(done=round(waited, 1), total=None, message="a child process is at work")


def git_facts(folder: Path, *, trusted: bool) -> tuple[str | None, str | None, bool | None]:
    """Return commit, branch and whether there are uncommitted changes; None for each outside a git repository.

    `git status` runs programs that the repository's own configuration names. An agent can write that, so whether there
    are changes is asked only for a trusted caller.
    """
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None, None, None
    branch = _git(folder, "rev-parse", "--abbrev-ref", "HEAD")
    changes = _git(folder, "status", "--porcelain", "-uno") if trusted else None
    return commit, branch, None if changes is None else bool(changes)


def run_program(words: Sequence[str], text: str | None, timeout_s: float) -> "subprocess.CompletedProcess[str]":
    """Run a program that the person has installed, with `text` as its input, and return what it said.

    Without a text it has the person's terminal to itself.

    Raises
    ------
    Refusal
        `unavailable` when it is not installed, or does not end in time.
    """
    try:
        return subprocess.run(  # noqa: S603 - a fixed command, no shell
            [*words], input=text, capture_output=text is not None, text=True, timeout=timeout_s, check=False
        )
    except FileNotFoundError as error:
        raise Refusal("unavailable", f"{words[0]} is not installed, or not on the PATH") from error
    except subprocess.TimeoutExpired as error:
        raise Refusal("unavailable", f"{words[0]} did not answer within {timeout_s:g} s") from error


def _git(folder: Path, *words: str) -> str | None:
    with suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(  # noqa: S603 - a fixed command, no shell
            ["git", "-C", str(folder), *words],  # noqa: S607 - the user's own git, wherever it is
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
        return done.stdout.strip() if done.returncode == 0 else None
    return None
