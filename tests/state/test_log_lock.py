"""A log that nobody lets go of holds nobody up for ever."""

import fcntl
import os
import time
from pathlib import Path

import pytest

from stagewright.state.log_lock import LogHeld, hold_log


@pytest.fixture
def held(tmp_path: Path) -> Path:
    """Make a log."""
    path = tmp_path / "decision.log"
    path.touch()
    return path


def test_waiting_is_bounded_and_the_holder_is_named(held: Path) -> None:
    """The lock belongs to an open file, so another descriptor of this process holds it as another process would."""
    first, second = os.open(held, os.O_RDWR), os.open(held, os.O_RDWR)
    fcntl.flock(first, fcntl.LOCK_EX)
    began = time.monotonic()
    with pytest.raises(LogHeld, match=r"decision\.log is held by (pid \d+|another process) since more than 0\.2 s"):
        hold_log(second, held.name, exclusive=False, wait_s=0.2)
    assert 0.2 <= time.monotonic() - began < 2
    os.close(first)
    hold_log(second, held.name, exclusive=True, wait_s=0)
    os.close(second)


def test_readers_do_not_wait_for_one_another(held: Path) -> None:
    """Only a writer is alone."""
    first, second = os.open(held, os.O_RDONLY), os.open(held, os.O_RDONLY)
    hold_log(first, held.name, exclusive=False)
    hold_log(second, held.name, exclusive=False, wait_s=0)
    os.close(first)
    os.close(second)
