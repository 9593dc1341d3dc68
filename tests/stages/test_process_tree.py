"""No process of an attempt is left, whatever it did to slip away."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from stagewright.stages.process_tree import ATTEMPT_VARIABLE, end_leftovers, memory_of

DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print(os.getpid(), flush=True)
        sys.stdout = open(os.devnull, "w"); os.dup2(sys.stdout.fileno(), 1)
        time.sleep(600)
    os._exit(0)
os.wait()
"""


def daemon(folder: Path) -> int:
    """Start a process that leaves its parent, its group and its session; return its pid once its parents are gone."""
    environment = os.environ | {ATTEMPT_VARIABLE: str(folder)}
    done = subprocess.run([sys.executable, "-c", DAEMON], env=environment, stdout=subprocess.PIPE, check=True)
    return int(done.stdout)


def test_what_slipped_away_is_found_by_its_environment(tmp_path: Path) -> None:
    """A daemon has no parent of ours any more, and still carries the attempt's folder; another attempt's stays."""
    ours, other = daemon(tmp_path / "0001_A_x"), daemon(tmp_path / "0002_A_x")
    try:
        assert end_leftovers(tmp_path / "0001_A_x") == 1
        deadline = time.monotonic() + 5
        while psutil.pid_exists(ours) and psutil.Process(ours).status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert psutil.Process(other).is_running()
    finally:
        end_leftovers(tmp_path / "0002_A_x")


FAMILY = """
import os, sys, time
held = bytearray(os.urandom(1 << 20) * 200)
for _ in range(3):
    if os.fork() == 0:
        time.sleep(600)
print("ready", flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells proportional set sizes")
def test_shared_pages_count_once() -> None:
    """Forked children that only read their parent's memory do not count it again."""
    size = 200 << 20
    parent = subprocess.Popen([sys.executable, "-c", FAMILY], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    parent.stdout.readline()
    tree = [psutil.Process(parent.pid), *psutil.Process(parent.pid).children(recursive=True)]
    try:
        assert len(tree) == 4
        resident = sum(process.memory_info().rss for process in tree)
        assert resident > 4 * size
        assert memory_of(tree, limit=2**40) == pytest.approx(resident, rel=0.1)
        assert memory_of(tree, limit=1) < 2.5 * size  # a busy kernel takes pages back and hands out copies
    finally:
        for process in tree:
            process.kill()
        parent.wait()
        parent.stdout.close()
