"""Wilcoxon tests of all genes and Pearson residuals: ours against scanpy on the same data, in one run."""

# Tables, JSON and libraries without types: what is read from them is compared, not computed with.
# pyright: reportPossiblyUnboundVariable=false

import statistics
import time
import tracemalloc
from collections.abc import Callable
from typing import TypeVar

import anndata
import numpy as np
import pandas as pd
import scanpy
from scipy import sparse

from stagewright.stages.preprocess import rank_sum_kernel, residual_kernel
from stagewright.stages.preprocess.normalise import log_normalise
from stagewright.stages.preprocess.pearson_residuals import pearson_residuals
from stagewright.stages.preprocess.wilcoxon import RankSumTest, wilcoxon

_Result = TypeVar("_Result")
CELLS, GENES, RUNS = 4_000, 3_000, 3
BLOCK = 1_024


def main() -> list[dict[str, object]]:
    """Return how many times faster the test is than scanpy's, how far the scores agree, and what residuals take."""
    rank_sum_kernel.warm()
    residual_kernel.warm()
    counts, positive = _cells(CELLS)
    _scanpy(*_cells(100))  # compiles scanpy's kernels
    expression = log_normalise(counts)
    ratios = []
    for _ in range(RUNS):
        ours, found = _timed(lambda: wilcoxon(expression, positive))
        theirs, frame = _timed(lambda: _scanpy(counts, positive))
        ratios.append(theirs / ours)
    ratio = statistics.median(ratios)
    gap = _largest_gap(found, frame)
    residual_ratio, memory_ratio = _residuals(counts)
    return [
        {"name": "Wilcoxon: scanpy / ours", "value": round(ratio, 1), "goal": ">= 10", "holds": ratio >= 10},
        {"name": "Wilcoxon: largest difference of scores", "value": gap, "goal": "<= 1e-4", "holds": gap <= 1e-4},
        {
            "name": "Pearson residuals: scanpy / moments and a pass",
            "value": round(residual_ratio, 1),
            "goal": ">= 1",
            "holds": residual_ratio >= 1,
        },
        {
            "name": "Pearson residuals: memory, scanpy / ours",
            "value": round(memory_ratio, 1),
            "goal": ">= 4",
            "holds": memory_ratio >= 4,
        },
    ]


def _cells(n_cells: int) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Draw counts with 8 to 10 % of the entries above zero, and a tenth of the cells positive."""
    rng = np.random.default_rng(0)
    mean = rng.gamma(0.3, 0.4, GENES) * rng.lognormal(0, 0.5, (n_cells, 1))
    positive = np.arange(n_cells) % 10 == 0
    mean[np.ix_(positive, np.arange(50))] *= 3
    return sparse.csr_matrix(rng.poisson(mean).astype(np.float32)), positive


def _scanpy(counts: sparse.csr_matrix, positive: np.ndarray) -> pd.DataFrame:
    label = pd.Categorical(np.where(positive, "a", "b"))
    obs = pd.DataFrame({"label": label}, index=np.arange(len(positive)).astype(str))
    adata = anndata.AnnData(X=log_normalise(counts), obs=obs)
    with np.errstate(invalid="ignore"):
        scanpy.tl.rank_genes_groups(
            adata, "label", groups=["a"], reference="b", method="wilcoxon", tie_correct=True, use_raw=False
        )
    return scanpy.get.rank_genes_groups_df(adata, "a").set_index("names").loc[adata.var_names]


def _largest_gap(found: RankSumTest, frame: pd.DataFrame) -> float:
    return float(np.abs(found.score - frame["scores"].to_numpy()).max())


def _residuals(counts: sparse.csr_matrix) -> tuple[float, float]:
    """Return how many times longer, and how many times more memory, scanpy takes to have all residuals once."""

    def ours() -> None:
        for block in pearson_residuals(counts).dense_blocks(BLOCK):
            block.sum()

    def theirs() -> None:
        adata = anndata.AnnData(X=counts.copy())
        with np.errstate(invalid="ignore"):
            scanpy.experimental.pp.normalize_pearson_residuals(adata)
        adata.X.sum()

    ratio = statistics.median(_timed(theirs)[0] / _timed(ours)[0] for _ in range(RUNS))
    return ratio, _peak(theirs) / _peak(ours)


def _timed(act: Callable[[], _Result]) -> tuple[float, _Result]:
    started = time.perf_counter()
    result = act()
    return time.perf_counter() - started, result


def _peak(act: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        act()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


if __name__ == "__main__":
    print(main())
