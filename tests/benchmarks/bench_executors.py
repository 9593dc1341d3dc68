"""Two workers against one, and a Dask cluster of two processes against two threads, on the stages' own calls.

Two pieces of work on generated data: a grid as Plan 1B's (patients x embeddings, repeated cross-validation of an L1
path), and a sweep as Plan 0's (pca, fa and nmf over K and seeds). Each is done by the local executor with one worker
and with two, one after the other, in several rounds; then by two workers and by a cluster of two processes of one
thread each. Ratios are within a round. The cluster's start, and the first call on each worker, which loads the
libraries, are not counted; nor is a cluster there while local workers are compared, as it takes time even when idle.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask.config
import numpy as np
import scipy.sparse as sp
from distributed import LocalCluster

from stagewright.stages.classify.threads import map_nogil
from stagewright.stages.executors.catalogue import open_executor
from stagewright.stages.executors.executor import Executor
from stagewright.stages.fits import fitted
from stagewright.stages.plan1_tables import PatientCells
from stagewright.stages.plan1b import path_of
from stagewright.stages.reduction.catalogue import FitUnit
from stagewright.stages.reduction.sweep import FitSettings, SharedMatrix
from stagewright.stages.share_matrix import share_matrix
from stagewright.state.executor import ExecutorChoice

ROUNDS = 5
ALPHAS = np.logspace(-4, 5, 20)
GIB = str(2**30)
NANNY = {"MALLOC_TRIM_THRESHOLD_": GIB, "MALLOC_MMAP_THRESHOLD_": GIB, "OMP_NUM_THREADS": "1"}

Work = Callable[[Executor], None]


def main(n_cells: int = 12_000, n_genes: int = 1_500, rounds: int = ROUNDS) -> list[dict[str, object]]:
    """Return the ratios.

    Parameters
    ----------
    n_cells
        Of twelve patients together; the sweep has a third of them.
    """
    work = {"plan1b grid": _grid(n_cells), "plan0 sweep": _sweep(n_cells // 3, n_genes)}
    rows = []
    with tempfile.TemporaryDirectory() as folder, _local(Path(folder)) as (one, two):
        for name, todo in work.items():
            speed_up = _ratio(todo, one, two, rounds)
            rows.append(_row(f"{name}: one worker / two", speed_up, ">= 1.7", holds=speed_up >= 1.7))
        with _cluster(Path(folder)) as cluster:
            for name, todo in work.items():
                over = _ratio(todo, cluster, two, rounds)
                rows.append(_row(f"{name}: dask / local, two workers each", over, "<= 1.15", holds=over <= 1.15))
    machine = statistics.median(_machine() for _ in range(rounds))
    return [*rows, {"name": "this machine: two products / two at once", "value": machine, "goal": None, "holds": None}]


def _machine() -> float:
    """Return how much faster this machine multiplies two pairs of matrices at once than one after the other."""
    a = np.random.default_rng(3).normal(size=(700, 700))

    def multiply(_: int) -> None:
        for _ in range(20):
            np.matmul(a, a)

    took = []
    for n_threads in (1, 2):
        started = time.perf_counter()
        map_nogil(multiply, range(2), n_threads)
        took.append(time.perf_counter() - started)
    return round(took[0] / took[1], 2)


def _ratio(work: Work, slower: Executor, faster: Executor, rounds: int) -> float:
    """Return the median over rounds of one executor's time as a multiple of another's."""
    for executor in (slower, faster):
        work(executor)  # loads libraries, compiles, and writes what a cluster's workers map
    return statistics.median(_seconds(work, slower) / _seconds(work, faster) for _ in range(rounds))


def _row(name: str, value: float, goal: str, *, holds: bool) -> dict[str, object]:
    return {"name": name, "value": round(value, 2), "goal": goal, "holds": holds}


def _seconds(work: Work, executor: Executor) -> float:
    started = time.perf_counter()
    work(executor)
    return time.perf_counter() - started


@contextmanager
def _local(folder: Path) -> Iterator[tuple[Executor, Executor]]:
    executors = open_executor(ExecutorChoice(), 1, folder / "one"), open_executor(ExecutorChoice(), 2, folder / "two")
    try:
        yield executors
    finally:
        for executor in executors:
            executor.close()


@contextmanager
def _cluster(folder: Path) -> Iterator[Executor]:
    settings = {"distributed.nanny.pre-spawn-environ": NANNY, "distributed.logging.distributed": "error"}
    with dask.config.set(settings), _started() as running:
        remote = ExecutorChoice(kind="dask", scheduler=running.scheduler_address)
        executor = open_executor(remote, 2, folder / "cluster")
        try:
            yield executor
        finally:
            executor.close()


def _started() -> Any:  # noqa: ANN401 - its attributes are awaitable or not, by how it was made
    off: dict[str, Any] = {"dashboard_address": ":0", "worker_dashboard_address": None}
    return LocalCluster(n_workers=2, threads_per_worker=1, processes=True, **off)


def _grid(n_cells: int) -> Work:
    rng = np.random.default_rng(1)
    embeddings = [rng.normal(size=(n_cells, 40)) for _ in range(2)]
    positive = embeddings[0][:, 0] + rng.normal(size=n_cells) > 1.0
    patients = [
        PatientCells(name=f"patient {at}", rows=rows, positive=positive[rows])
        for at, rows in enumerate(np.array_split(np.arange(n_cells), 12))
    ]

    def work(executor: Executor) -> None:
        for embedding in embeddings:
            shared = executor.share(embedding, np.asarray, a=embedding)
            executor.map(lambda item, of=shared: executor.call(path_of, of, item, 5, ALPHAS, 4, 1.0), patients)

    return work


def _sweep(n_cells: int, n_genes: int) -> Work:
    rng = np.random.default_rng(2)
    rates = rng.gamma(1.0, 0.06, size=(n_cells, 12)) @ rng.gamma(1.0, 0.3, size=(12, n_genes))
    matrix = sp.csr_matrix(np.log1p(rng.poisson(rates)).astype(np.float32))
    fa = [FitUnit("fa", k, seed) for k in (20, 10) for seed in (1, 2)]
    nmf = [FitUnit("nmf", k, seed) for k in (20, 10) for seed in (1, 2, 3)]
    units = [fa[0], FitUnit("pca", 20, 1), *nmf, *fa[1:]]  # in the order of Plan 0

    def work(executor: Executor) -> None:
        shared = share_matrix(executor, SharedMatrix(matrix))
        executor.map(lambda unit: executor.call(fitted, shared, unit, FitSettings(nmf_tol=1e-2)), units)

    return work


if __name__ == "__main__":
    print(main())
