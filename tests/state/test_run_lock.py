"""Locks of the operating system: they name their holder and go with it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stagewright.state.lock import hold_alive, is_alive, run_lock
from stagewright.state.refusals import Refusal

HOLD = """
import sys, time
from pathlib import Path
from stagewright.state.lock import run_lock
with run_lock(Path(sys.argv[1]), run_id="r"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a child that holds the lock."""
    command = [sys.executable, "-P", "-c", HOLD, str(tmp_path / ".lock")]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    yield child
    child.kill()
    child.communicate()


def test_while_one_process_holds_the_lock_another_is_told_who(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    """The refusal names process, host and time, and comes within the bound."""
    began = time.monotonic()
    with (
        pytest.raises(Refusal, match=rf"pid {holder.pid} on .+ since 20\d\d-") as caught,
        run_lock(tmp_path / ".lock", run_id="the_run", wait_s=0.2),
    ):
        pass
    assert 0.2 <= time.monotonic() - began < 2
    assert (caught.value.code, caught.value.run_id) == ("run_locked", "the_run")


def test_a_killed_holder_leaves_no_lock(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    """There is no stale lock to clean up, though its record still stands in the file."""
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    assert f'"pid": {holder.pid}' in (tmp_path / ".lock").read_text()
    with run_lock(tmp_path / ".lock", run_id="r", wait_s=0.0):
        assert f'"pid": {os.getpid()}' in (tmp_path / ".lock").read_text()


def test_a_waiter_gets_the_lock_when_it_is_let_go(tmp_path: Path) -> None:
    """Waiting is bounded, and ends early when it can."""
    code = HOLD.replace("time.sleep(60)", "time.sleep(0.3)")
    child = subprocess.Popen(
        [sys.executable, "-P", "-c", code, str(tmp_path / ".lock")], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    with run_lock(tmp_path / ".lock", run_id="r", wait_s=20):
        pass
    child.communicate()


def test_an_error_inside_lets_the_lock_go(tmp_path: Path) -> None:
    """Nothing that happens in a transition keeps the run locked."""
    with pytest.raises(KeyError), run_lock(tmp_path / ".lock", run_id="r"):
        raise KeyError
    with run_lock(tmp_path / ".lock", run_id="r", wait_s=0.0):
        pass


def test_a_holder_without_a_record_is_not_named(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    """The record is for people: when it is unreadable the refusal says so and the lock still holds."""
    assert holder.poll() is None
    (tmp_path / ".lock").write_text("{")
    with pytest.raises(Refusal, match="has not written its name"), run_lock(tmp_path / ".lock", run_id="r", wait_s=0):
        pass


def test_alive_while_somebody_has_the_descriptor(tmp_path: Path) -> None:
    """A child that inherits it keeps an attempt alive after its parent closed its own, until it ends."""
    path = tmp_path / "alive.lock"
    assert not is_alive(path)
    fd = hold_alive(path)
    assert is_alive(path)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], pass_fds=(fd,))
    os.close(fd)
    assert is_alive(path)
    with pytest.raises(RuntimeError, match="this attempt is running"):
        hold_alive(path)
    child.kill()
    child.wait()
    assert not is_alive(path)


def test_looking_at_a_lock_does_not_keep_it(tmp_path: Path) -> None:
    """A probe is over at once."""
    path = tmp_path / "alive.lock"
    os.close(hold_alive(path))
    assert not is_alive(path)
    os.close(hold_alive(path))
