"""Writing to a chained log: all of a line or nothing of it, whoever writes beside."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from stagewright.state.chain import ChainedLog

AT = "2026-11-22T13:41:56.120Z"
FIELDS = {"event": "test", "message": "a message", "step": None}


def run_python(code: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a child that appends."""
    begin = "import sys\nfrom pathlib import Path\nfrom stagewright.state.chain import ChainedLog\n"
    command = [sys.executable, "-P", "-c", begin + code, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("cut", [1, 5, 60])
def test_a_torn_tail_is_moved_aside_and_recorded(tmp_path: Path, cut: int) -> None:
    """What a crash left of an unacknowledged write is kept beside the log, and the next append says so first."""
    log = ChainedLog(tmp_path / "a.log")
    log.append(AT, FIELDS)
    log.append(AT, FIELDS)
    whole = log.path.read_bytes()
    keep = whole.index(b"\n") + 1
    torn = whole[keep:-cut]
    log.path.write_bytes(whole[:keep] + torn)
    assert log.head().seq == 1

    log.append(AT, FIELDS | {"message": "after"})

    entries = list(log.verified())
    assert [entry["event"] for entry in entries] == ["test", "torn_tail_moved", "test"]
    assert entries[1]["bytes"] == len(torn)
    assert (tmp_path / f"a.log.torn-{keep}").read_bytes() == torn


def test_a_log_that_is_only_a_torn_tail_begins_anew(tmp_path: Path) -> None:
    """The first write may be the one that a crash cut short."""
    log = ChainedLog(tmp_path / "a.log")
    log.path.write_bytes(b'{"at": "2026')
    log.append(AT, FIELDS)
    assert [entry["event"] for entry in log.verified()] == ["torn_tail_moved", "test"]


@pytest.mark.parametrize("room", [0, 1, 40, 150])
def test_a_full_disk_leaves_the_log_as_it_was(tmp_path: Path, room: int) -> None:
    """A line that the disk takes only in part is not acknowledged, and nothing of it stays."""
    log = ChainedLog(tmp_path / "a.log")
    log.append(AT, FIELDS)
    before = log.path.read_bytes()
    code = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
try:
    ChainedLog(Path(sys.argv[1])).append("2026-11-22T13:41:56.120Z", {"event": "x", "message": "y" * 300, "step": None})
except OSError as error:
    print("refused")
"""
    child = run_python(code, str(log.path), str(len(before) + room))
    said, errors = child.communicate(timeout=30)
    assert said.strip() == "refused", errors
    assert log.path.read_bytes() == before
    log.append(AT, FIELDS)
    assert len(list(log.verified())) == 2


def test_four_processes_write_one_valid_chain(tmp_path: Path) -> None:
    """Appenders take turns; no line is lost, doubled or mixed with another."""
    path = tmp_path / "a.log"
    code = """
for number in range(25):
    ChainedLog(Path(sys.argv[1])).append("2026-11-22T13:41:56.120Z",
        {"event": "x", "message": "m" * 200, "step": None, "who": sys.argv[2], "number": number})
"""
    children = [run_python(code, str(path), str(who)) for who in range(4)]
    for child in children:
        _, errors = child.communicate(timeout=60)
        assert child.returncode == 0, errors
    entries = list(ChainedLog(path).verified())
    assert len(entries) == 100
    for who in "0123":
        assert [entry["number"] for entry in entries if entry["who"] == who] == [*range(25)]


def test_a_reader_never_sees_half_a_line(tmp_path: Path) -> None:
    """While a child writes, every read verifies and is never shorter than the one before."""
    path = tmp_path / "a.log"
    code = """
for number in range(60):
    ChainedLog(Path(sys.argv[1])).append("2026-11-22T13:41:56.120Z",
        {"event": "x", "message": "m" * 20000, "step": None})
"""
    child = run_python(code, str(path))
    seen = 0
    while child.poll() is None:
        now = sum(1 for _ in ChainedLog(path).verified())
        assert now >= seen
        seen = now
    _, errors = child.communicate()
    assert child.returncode == 0, errors
    assert sum(1 for _ in ChainedLog(path).verified()) == 60


def test_what_json_cannot_say_is_not_written(tmp_path: Path) -> None:
    """A NaN would be read differently by others: the writer is told, and the log stays as it was."""
    log = ChainedLog(tmp_path / "a.log")
    log.append(AT, FIELDS)
    before = log.path.read_bytes()
    with pytest.raises(ValueError, match=r"."):
        log.append(AT, FIELDS | {"value": float("nan")})
    assert log.path.read_bytes() == before
    assert json.loads(before)["seq"] == 1
