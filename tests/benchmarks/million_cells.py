"""Plan 0 and Plan 1A on 1,000,000 cells x 3,000 selected genes, once, within a limit of memory.

Not one of the benchmarks that run by themselves: about 8 GB of disk and some minutes.

    python tests/benchmarks/million_cells.py [--cells N] [--limit GIB] [--folder DIR]
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from large_cohort import write_large_cohort
from large_study import run_study

N_GENES, N_TOP_GENES, DEPTH = 4_000, 3_000, 700


def main() -> int:
    """Print what the study took; return 1 where its peak is above the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=1_000_000)
    parser.add_argument("--limit", type=float, default=12.0, help="the most memory that the process may hold, in GiB")
    parser.add_argument("--budget", type=float, default=16.0, help="budget.memory of the study, in GiB")
    parser.add_argument("--k", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=None, help="where some GB are free")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stagewright-million-", dir=asked.folder) as folder:
        data = Path(folder) / "cohort.h5ad"
        started = time.perf_counter()
        n_stored = write_large_cohort(data, n_cells=asked.cells, n_genes=N_GENES, depth=DEPTH)
        size = data.stat().st_size / 2**30
        seconds = time.perf_counter() - started
        print(f"{asked.cells:,} cells x {N_GENES:,} genes, {n_stored:,} counts, {size:.1f} GiB, in {seconds:.0f} s")
        taken = run_study(
            data,
            Path(folder) / "study",
            n_top_genes=N_TOP_GENES,
            k=asked.k,
            memory_bytes=int(asked.budget * 2**30),
            workers=asked.workers,
        )
    peak = taken.peak_bytes / 2**30
    print(f"plan0 {taken.plan0_s:.0f} s, plan1a {taken.plan1a_s:.0f} s, AUC in sample {taken.auc_in_sample:.3f}")
    print(f"peak {peak:.2f} GiB, limit {asked.limit:g} GiB: {'holds' if peak <= asked.limit else 'MISSED'}")
    return 0 if peak <= asked.limit else 1


if __name__ == "__main__":
    sys.exit(main())
