"""How near the kernels come to this machine's limits, its own GEMM and its memory, on one thread and in the same run.

Operations are those that the algorithm needs at least: 2 n p^2 / 2 for the Gram matrix; for a half-step of the
Kullback-Leibler descent, for each non-zero and component that is above zero, gather, predict, two sums and a shift
(9 operations), and for every component the screening (2).
"""

import statistics
import time
from collections.abc import Callable

import numpy as np
from scipy import sparse
from threadpoolctl import threadpool_info, threadpool_limits

from stagewright.stages.reduction.correlation import correlation
from stagewright.stages.reduction.divergence_kernel import descend, scratch, warm
from stagewright.stages.reduction.nonnegative_kernel import least_squares
from stagewright.stages.reduction.standardise import standardise

K, RUNS, SETTLING = 40, 3, 8


def main(n_cells: int = 8000, n_genes: int = 3000) -> list[dict[str, object]]:
    """Return rates in GFLOP/s and GB/s, and the shares of the machine's own."""
    warm()
    with threadpool_limits(1):
        return _measured(n_cells, n_genes)


def _measured(n_cells: int, n_genes: int) -> list[dict[str, object]]:
    rng = np.random.default_rng(0)
    x = sparse.random(n_cells, n_genes, 0.08, format="csr", dtype=np.float32, random_state=rng)
    x.data += np.float32(0.1)
    square = rng.random((2048, 2048), dtype=np.float32)
    gemm = 2 * 2048**3 / _median(lambda: square @ square) / 1e9
    long = np.ones(2**25, dtype=np.float32)
    target = np.empty_like(long)
    memory = 2 * long.nbytes / _median(lambda: np.copyto(target, long)) / 1e9
    view = standardise(x)
    gram = n_cells * n_genes**2 / _median(lambda: correlation(view)) / 1e9

    w = rng.random((n_cells, K), dtype=np.float32) * (rng.random((n_cells, K)) < 0.35)
    h = rng.random((n_genes, K), dtype=np.float32) ** 8
    sides = x.indptr.astype(np.int64), x.indices.astype(np.uint32), x.data
    work = scratch(K, int(np.diff(x.indptr).max()))
    moved = np.full(n_cells, np.inf, dtype=np.float32)
    for _ in range(SETTLING):  # as in a fit that is under way: most coordinates stay at zero
        moved[:] = np.inf
        descend(*sides, h, w, moved, 0.0, False, *work)  # noqa: FBT003 - a compiled function has no keywords
    share = float((w > 0).mean())

    def half_step() -> None:
        moved[:] = np.inf
        descend(*sides, h, w.copy(), moved, 0.0, False, *work)  # noqa: FBT003 - a compiled function has no keywords

    seconds = _median(half_step)
    divergence = x.nnz * K * (9 * share + 2) / seconds / 1e9
    # The fixed factor's rows are read for the gather and for the screening, the gathered copies written once and read
    # three times.
    bytes_moved = x.nnz * K * 4 * (2 + 4 * share) / seconds / 1e9
    w64 = w.astype(np.float64)
    squares = 2 * x.nnz * K / _median(lambda: least_squares(*sides, h, w64.copy(), 1.0, 1)) / 1e9
    kernel = next((one["architecture"] for one in threadpool_info() if one["user_api"] == "blas"), "unknown")
    return [
        _row(f"machine: float32 GEMM, GFLOP/s (BLAS for {kernel})", gemm),
        _row("machine: memory copy, GB/s", memory),
        _row("Gram matrix: GFLOP/s", gram),
        _row("Gram matrix: share of GEMM", gram / gemm, ">= 0.3", holds=gram >= 0.3 * gemm),
        _row("NMF KL half-step: GFLOP/s", divergence),
        _row("NMF KL half-step: share of GEMM", divergence / gemm),
        _row("NMF KL half-step: cache traffic, GB/s", bytes_moved),
        _row("NMF KL half-step: cache traffic / memory copy", bytes_moved / memory),
        _row("NMF squares half-step: GFLOP/s", squares),
        _row("NMF squares half-step: share of GEMM", squares / gemm),
    ]


def _row(name: str, value: float, goal: str | None = None, *, holds: bool | None = None) -> dict[str, object]:
    return {"name": name, "value": round(value, 2), "goal": goal, "holds": holds}


def _median(call: Callable[[], object]) -> float:
    """Return the median CPU seconds of a few calls, after one that warms the caches."""
    call()
    found = []
    for _ in range(RUNS):
        started = time.thread_time()
        call()
        found.append(time.thread_time() - started)
    return statistics.median(found)


if __name__ == "__main__":
    for row in main():
        print(row)
