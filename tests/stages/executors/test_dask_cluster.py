"""Calls on a real Dask cluster, and what becomes of them when it breaks."""

# Tables, JSON and libraries without types: what is read from them is compared, not computed with.
# pyright: reportAttributeAccessIssue=false

import operator
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import Client, LocalCluster

from stagewright.stages.executors import dask_cluster
from stagewright.stages.executors.catalogue import open_executor
from stagewright.stages.executors.executor import Executor
from stagewright.stages.executors.failures import ClusterUnfit, SchedulerUnreachable, WorkerLost
from stagewright.stages.executors.remote_call import introduce
from stagewright.stages.executors.try_out import try_out
from stagewright.stages.failure_table import kind_of
from stagewright.state.executor import ExecutorChoice

DRIVER = """
import sys, time
from pathlib import Path
from stagewright.stages.executors.catalogue import open_executor
from stagewright.state.executor import ExecutorChoice
executor = open_executor(ExecutorChoice(kind="dask", scheduler=sys.argv[1]), 1, Path(sys.argv[2]))
executor.map(lambda seconds: executor.call(time.sleep, seconds), [2.0] * 6)
"""


@pytest.fixture
def choice(cluster: dict[str, Any]) -> ExecutorChoice:
    """Return the operator's choice of the cluster."""
    return ExecutorChoice(**cluster)


@pytest.fixture
def executor(choice: ExecutorChoice, tmp_path: Path) -> Iterator[Executor]:
    """Return an executor on the cluster."""
    opened = open_executor(choice, 1, tmp_path / "scratch")
    yield opened
    opened.close()


def test_results_come_in_order_and_large_arguments_as_files(executor: Executor, tmp_path: Path) -> None:
    """An array that several calls take is written once; what is written is gone when the executor is closed."""
    array = np.arange(12.0).reshape(3, 4)
    shared = executor.share(array, np.asarray, a=array)
    rows = executor.map(lambda row: executor.call(operator.getitem, shared, row), [2, 0, 1])
    assert np.array_equal(np.vstack(rows), array[[2, 0, 1]])
    assert len([*(tmp_path / "scratch").glob("*/*.npy")]) == 1
    executor.close()
    assert not (tmp_path / "scratch").exists()


def test_errors_of_the_function_are_its_own(executor: Executor) -> None:
    """With their type, as if it had been called here; a TimeoutError of it too."""
    with pytest.raises(ZeroDivisionError):
        executor.call(operator.truediv, 1, 0)
    with pytest.raises(TimeoutError):
        executor.call(_refuse_the_time)
    assert executor.call(operator.add, 1, 2) == 3


def _refuse_the_time() -> None:
    raise TimeoutError


def test_a_worker_that_ends_in_a_call_is_said_so(executor: Executor) -> None:
    """As often as the cluster puts up with; later calls go to others."""
    with pytest.raises(WorkerLost, match="ended in the middle of a call"):
        executor.call(os._exit, 1)
    assert executor.call(operator.add, 1, 2) == 3
    _wait_until(lambda: executor.n_workers == 2)  # its nanny starts another one, which the next test may count on


def test_a_cluster_can_be_tried_out(choice: ExecutorChoice) -> None:
    """By a call whose argument its workers have to find; what it runs on is said."""
    found = try_out(choice)
    assert (found.kind, found.workers, len(found.hosts)) == ("dask", 2, 1)


def test_the_common_folder_is_used_and_cleared(choice: ExecutorChoice, tmp_path: Path) -> None:
    """What the workers read lies below it while it is read."""
    assert try_out(choice.model_copy(update={"scratch": tmp_path / "shared"})).workers == 2
    assert [*(tmp_path / "shared").iterdir()] == []


def test_nobody_at_the_address(tmp_path: Path) -> None:
    """Said with what to do."""
    nobody = ExecutorChoice(kind="dask", scheduler="tcp://127.0.0.1:9", wait="0.5s")  # type: ignore[arg-type]  # as text
    with pytest.raises(SchedulerUnreachable, match="nobody answers as a Dask scheduler"):
        open_executor(nobody, 1, tmp_path)


def test_a_scheduler_that_ends_between_calls(tmp_path: Path) -> None:
    """Nothing that asks for the cluster fails as if the data or this program were at fault, at once or later.

    What a step has computed by then is kept: the record says the size that was seen last.
    """
    off: dict[str, Any] = {"dashboard_address": ":0", "worker_dashboard_address": None}
    with LocalCluster(n_workers=1, threads_per_worker=2, processes=False, protocol="tcp://", **off) as brief:
        seconds = {"kind": "dask", "scheduler": brief.scheduler_address, "wait": "1s"}
        executor = open_executor(ExecutorChoice(**seconds), 1, tmp_path / "scratch")
    client = executor._client  # type: ignore[attr-defined]
    for _ in range(2):
        for asked in (lambda: executor.map(str, [1]), lambda: executor.call(operator.add, 1, 2)):
            with pytest.raises(SchedulerUnreachable) as caught:
                asked()
            assert kind_of(caught.value) == "scheduler_unreachable"
        assert executor.record().workers == 2
        _wait_until(lambda: client.status == "closed")
    executor.close()
    assert not (tmp_path / "scratch").exists()


def test_other_versions_are_refused(choice: ExecutorChoice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before any call, naming what differs; nothing is left in the folder."""
    ours = {**dask_cluster.must_be_equal(), "numpy": "1.0"}
    monkeypatch.setattr(dask_cluster, "must_be_equal", lambda: ours)
    with pytest.raises(ClusterUnfit, match=rf"numpy {np.__version__} there, 1\.0 here"):
        open_executor(choice, 1, tmp_path / "scratch")
    assert not (tmp_path / "scratch").exists()


def test_a_worker_looks_for_the_common_folder(tmp_path: Path) -> None:
    """It says whether it sees the driver's file."""
    assert not introduce(tmp_path / "visible")[2]
    (tmp_path / "visible").touch()
    assert introduce(tmp_path / "visible")[2]


def test_a_stage_that_is_ended_leaves_nothing_on_the_cluster(choice: ExecutorChoice, tmp_path: Path) -> None:
    """After kill -9 of the driver its scheduler forgets the calls that have not begun."""
    assert choice.scheduler is not None
    with Client(choice.scheduler, set_as_default=False) as client:
        driver = subprocess.Popen([sys.executable, "-P", "-c", DRIVER, choice.scheduler, str(tmp_path / "scratch")])
        _wait_until(lambda: _n_tasks(client) >= 2)
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
        _wait_until(lambda: _n_tasks(client) == 0)


def _n_tasks(client: Client) -> int:
    processing: Any = client.processing()  # awaitable for an asynchronous client only
    return sum(len(keys) for keys in dict(processing).values())


def _wait_until(reached: Any) -> None:  # noqa: ANN401 - a function of nothing
    deadline = time.monotonic() + 30
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.05)
