"""Two workers against one, and a Dask cluster of two processes against two threads, on the stages' own calls.

Two pieces of work on generated data: a grid as Plan 1B's (patients x embeddings, repeated cross-validation of an L1
path), and a sweep as Plan 0's (pca, fa and nmf over K and seeds). Each is done by the local executor with one and with
two workers, and by a cluster of two worker processes of one thread each, one after the other, in several rounds; ratios
are within a round. The cluster's start, and the first call on each worker, which loads the libraries, are not counted.
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

from stagewright.stages.executors.catalogue import open_executor
from stagewright.stages.executors.executor import Executor
from stagewright.stages.fits import fitted
from stagewright.stages.plan1_tables import PatientCells
from stagewright.stages.plan1b import path_of
from stagewright.stages.reduction.catalogue import FitUnit
from stagewright.stages.reduction.sweep import FitSettings, SharedMatrix
from stagewright.stages.share_matrix import share_matrix
from stagewright.state.executor import ExecutorChoice

ROUNDS = 3
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
    with tempfile.TemporaryDirectory() as folder, _executors(Path(folder)) as (one, two, cluster):
        rows = []
        for name, work in (("plan1b grid", _grid(n_cells)), ("plan0 sweep", _sweep(n_cells // 3, n_genes))):
            for executor in (one, two, cluster):
                work(executor)  # loads libraries, compiles, and writes what a cluster's workers map
            times = [[_seconds(work, executor) for executor in (one, two, cluster)] for _ in range(rounds)]
            speed_up = statistics.median(single / double for single, double, _ in times)
            over = statistics.median(remote / double for _, double, remote in times)
            rows += [
                _row(f"{name}: one worker / two", speed_up, ">= 1.7", holds=speed_up >= 1.7),
                _row(f"{name}: dask / local, two workers each", over, "<= 1.15", holds=over <= 1.15),
            ]
    return rows


def _row(name: str, value: float, goal: str, *, holds: bool) -> dict[str, object]:
    return {"name": name, "value": round(value, 2), "goal": goal, "holds": holds}


def _seconds(work: Work, executor: Executor) -> float:
    started = time.perf_counter()
    work(executor)
    return time.perf_counter() - started


@contextmanager
def _executors(folder: Path) -> Iterator[tuple[Executor, Executor, Executor]]:
    settings = {"distributed.nanny.pre-spawn-environ": NANNY, "distributed.logging.distributed": "error"}
    with dask.config.set(settings), _started() as running:
        local = ExecutorChoice()
        remote = ExecutorChoice(kind="dask", scheduler=running.scheduler_address)
        executors = (
            open_executor(local, 1, folder / "one"),
            open_executor(local, 2, folder / "two"),
            open_executor(remote, 2, folder / "cluster"),
        )
        try:
            yield executors
        finally:
            for executor in executors:
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
    units = [fa[0], *nmf, FitUnit("pca", 20, 1), *fa[1:]]  # in the order of Plan 0

    def work(executor: Executor) -> None:
        shared = share_matrix(executor, SharedMatrix(matrix))
        executor.map(lambda unit: executor.call(fitted, shared, unit, FitSettings(nmf_tol=1e-2)), units)

    return work


if __name__ == "__main__":
    print(main())
