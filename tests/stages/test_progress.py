"""The progress file follows units that are many and short, and units that are few and long."""

import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest

from stagewright.stages import progress as progress_module
from stagewright.stages.progress import WRITE_EVERY_S, Progress
from stagewright.state.attempt_progress import AttemptProgress


def shown(path: Path) -> AttemptProgress:
    """Return what the file says."""
    return AttemptProgress.model_validate_json(path.read_bytes())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the file is to lie."""
    return tmp_path / "progress.json"


def test_a_long_unit_is_named_although_nothing_else_happens(path: Path) -> None:
    """It begins right after a write, and is seen half a second later, with its parts."""
    progress = Progress(path, 2)
    with progress.measure("a"):
        progress.parts(12)()
        time.sleep(WRITE_EVERY_S + 0.2)
        (unit,) = shown(path).at_work
        assert (unit.name, unit.parts_done, unit.parts) == ("a", 1, 12)
    progress.close()
    assert (shown(path).done, shown(path).at_work) == (1, ())


def test_many_short_units_are_few_writes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At most two a second, and the last state is there at the end."""
    writes: list[float] = []
    write = progress_module.write_atomically

    def counted(where: Path, text: str) -> None:
        writes.append(time.monotonic())
        write(where, text)

    monkeypatch.setattr(progress_module, "write_atomically", counted)
    progress = Progress(path, 500)
    for at in range(500):
        with progress.measure(f"unit {at}"):
            time.sleep(0.001)
    progress.close()
    assert shown(path).done == 500
    assert all(later - earlier >= WRITE_EVERY_S * 0.9 for earlier, later in pairwise(writes[:-1]))


def test_units_on_several_threads_have_parts_of_their_own(path: Path) -> None:
    """A unit's parts may be done on any thread; a failed unit is not done."""
    progress = Progress(path, 3)

    def work(name: str, parts: int) -> None:
        with progress.measure(name):
            one_done = progress.parts(parts, rounds=2)
            helper = threading.Thread(target=one_done)
            helper.start()
            helper.join()
            barrier.wait()
            barrier.wait()

    barrier = threading.Barrier(3)
    threads = [threading.Thread(target=work, args=item) for item in (("a", 3), ("b", 5))]
    for thread in threads:
        thread.start()
    barrier.wait()
    progress.close()
    assert {unit.name: (unit.parts_done, unit.parts) for unit in shown(path).at_work} == {"a": (1, 6), "b": (1, 10)}
    barrier.wait()
    for thread in threads:
        thread.join()
    with pytest.raises(ZeroDivisionError), progress.measure("c"):
        raise ZeroDivisionError
    progress.close()
    assert (shown(path).done, shown(path).failed, shown(path).side_by_side) == (2, 1, 2)


def test_what_was_there_already_says_nothing_of_the_time_that_is_left(path: Path) -> None:
    """Only units that ran count for the mean."""
    progress = Progress(path, 3)
    with progress.measure("a") as unit:
        unit.reused = True
    progress.close()
    assert shown(path).unit_s is None
