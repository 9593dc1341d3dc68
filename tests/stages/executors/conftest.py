"""A Dask cluster on this machine, as an operator would start it."""

from collections.abc import Iterator
from typing import Any

import dask.config
import pytest
from distributed import LocalCluster

MEMORY = str(2**30)


@pytest.fixture(scope="package")
def cluster() -> Iterator[dict[str, Any]]:
    """Start a cluster of two workers of one thread each, and return what stagewright.toml would say of it."""
    environ = {"MALLOC_TRIM_THRESHOLD_": MEMORY, "MALLOC_MMAP_THRESHOLD_": MEMORY, "OMP_NUM_THREADS": "1"}
    settings = {
        "distributed.nanny.pre-spawn-environ": environ,
        "distributed.scheduler.allowed-failures": 0,
        "distributed.logging.distributed": "critical",
    }
    with dask.config.set(settings), _started() as running:
        yield {"kind": "dask", "scheduler": running.scheduler_address, "wait": "5s"}


def _started() -> Any:  # noqa: ANN401 - its attributes are awaitable or not, by how it was made
    off: dict[str, Any] = {"dashboard_address": ":0", "worker_dashboard_address": None}
    return LocalCluster(n_workers=2, threads_per_worker=1, processes=True, **off)
