"""What a child prints is kept in a file of bounded size: its beginning, its end, and how much lay between."""

import io
import subprocess
import sys
from pathlib import Path

import pytest

from stagewright.stages.capped_log import CappedLog


def test_little_is_kept_whole(tmp_path: Path) -> None:
    """Nothing is left out, and a second attempt's output stands after the first's."""
    path = tmp_path / "worker.log"
    for text in (b"one\n", b"two\n"):
        log = CappedLog(path, most=100, kept=10)
        log.drain(io.BytesIO(text))
        assert log.total == 4
    assert path.read_bytes() == b"one\ntwo\n"


@pytest.mark.parametrize("n_lines", [3000, 200_000])
def test_much_keeps_its_beginning_and_end(tmp_path: Path, n_lines: int) -> None:
    """However much it is, the file stays small, and says how many bytes it lacks."""
    path = tmp_path / "worker.log"
    log = CappedLog(path, most=8192, kept=1024)
    program = f"import sys; sys.stdout.writelines(f'line {{number}}\\n' for number in range({n_lines}))"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, bufsize=0) as child:
        assert child.stdout is not None
        log.drain(child.stdout)
    whole = b"".join(f"line {number}\n".encode() for number in range(n_lines))
    assert log.total == len(whole)
    kept = path.read_bytes()
    assert len(kept) <= 8192 + 65536
    head, between, tail = kept.partition(b" bytes of output were left out here ...\n")
    assert between
    assert head.startswith(whole[:1024])
    assert whole.endswith(tail)
    left_out = int(head.rpartition(b"... ")[2].replace(b",", b""))
    assert left_out == len(whole) - 1024 - len(tail)


def test_a_full_disk_holds_no_child_up(tmp_path: Path) -> None:
    """What the disk does not take is counted and dropped."""
    log = CappedLog(Path("/dev/full"))
    log.drain(io.BytesIO(b"x" * 100_000))
    assert log.total == 100_000
    assert not list(tmp_path.iterdir())
