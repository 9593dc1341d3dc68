"""The fault layer itself: it sees every change of the disk, and does what its plan says at the point that it names."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_bench.caller import armed_environment
from fault_bench.case import Case, Point

pytestmark = pytest.mark.faults

WRITES = """
import os, pathlib, shutil, subprocess, sys
run = pathlib.Path(sys.argv[1]) / "experiments" / "20261122_134156_x_0a1b2c3d"
(run / "logs").mkdir(parents=True)
fd = os.open(run / "logs" / "agent_run.log", os.O_RDWR | os.O_CREAT)
os.pwrite(fd, b"12345678", 0)
os.fsync(fd)
os.ftruncate(fd, 6)
os.close(fd)
temporary = run / f".RUN_STATE.json.{os.getpid()}.tmp"
temporary.write_text("abcd")
temporary.replace(run / "RUN_STATE.json")
with (run / "logs" / "agent_run.log").open("ab") as log:
    log.write(b"90")
os.link(run / "RUN_STATE.json", run / "unit.json")
folder = run / "A" / "analysis"
folder.mkdir(parents=True)
(folder / "x.npy").touch()
shutil.rmtree(run / "A")
subprocess.run([sys.executable, "-I", "-S", "-c", ""], check=True)
(pathlib.Path(sys.argv[1]).parent / "outside").write_text("no point of ours")
"""

POINTS = """
other:mkdir:logs:1
other:mkdir:run:1
other:mkdir:experiments:1
other:open:logs/agent_run.log:1
other:pwrite:logs/agent_run.log:1 torn
other:fsync:logs/agent_run.log:1
other:ftruncate:logs/agent_run.log:1
other:open:RUN_STATE.json.tmp:1
other:write:RUN_STATE.json.tmp:1 torn
other:replace:RUN_STATE.json:1
other:write:logs/agent_run.log:1 torn
other:link:unit.json:1
other:mkdir:results/folder:1
other:open:results/*.npy:1
other:unlink:results/*.npy:1
other:rmdir:results/folder:1
other:spawn:other:1
"""


@pytest.fixture
def case(tmp_path: Path, empty_root: Path) -> Iterator[Case]:
    """Make a case with nothing in its root."""
    made = Case(tmp_path / "case", empty_root)
    yield made
    made.remove()


def write_all(case: Case, plan: Path) -> "subprocess.CompletedProcess[str]":
    """Run the script that makes one change of each kind."""
    return subprocess.run(
        [sys.executable, "-P", "-c", WRITES, str(case.root)],
        env=armed_environment(case, plan),
        capture_output=True,
        text=True,
        check=False,
    )


def log_of(case: Case) -> bytes:
    """Return what stands in the log that the script writes."""
    return (case.root / "experiments" / "20261122_134156_x_0a1b2c3d" / "logs" / "agent_run.log").read_bytes()


def test_every_change_of_the_disk_has_a_point(case: Case) -> None:
    """System calls, files of Python's own, whole trees and new processes; but nothing outside of the root."""
    done = write_all(case, case.plan_record())
    assert done.returncode == 0, done.stderr
    recorded = case.recorded.read_text().splitlines()
    missing = [point for point in POINTS.split("\n") if point and point not in recorded]
    assert missing == [], recorded
    assert not any("outside" in point for point in recorded)
    assert log_of(case) == b"12345690"


@pytest.mark.parametrize(("when", "left"), [("before", b""), ("torn", b"1234"), ("after", b"12345678")])
def test_a_kill_comes_where_it_is_planned_and_once(case: Case, when: str, left: bytes) -> None:
    """Before a write nothing of it is there, torn half of it, after it the whole; whoever comes next is spared."""
    plan = case.plan_kills([Point("other:pwrite:logs/agent_run.log:1", when)])
    assert write_all(case, plan).returncode == -9
    assert log_of(case) == left
    assert case.marker().exists()


def test_a_full_disk_refuses_what_grows_until_it_is_freed(case: Case) -> None:
    """From a point on, for every process; and no longer once there is space."""
    plan = case.plan_full("other:pwrite:logs/agent_run.log:1")
    done = write_all(case, plan)
    assert "[Errno 28] No space left on device" in done.stderr
    assert log_of(case) == b""
    assert case.full.exists()
    shutil.rmtree(case.root / "experiments")
    assert write_all(case, plan).returncode == 1  # another process finds it full from the start
    case.freed.touch()
    shutil.rmtree(case.root / "experiments", ignore_errors=True)
    assert write_all(case, plan).returncode == 0
