"""Time and memory of Plan 0 and Plan 1A over the number of cells: both grow no faster than the cells.

5,000, 20,000 and 80,000 cells; STAGEWRIGHT_BENCH_CELLS names others, for example 5000,20000,80000,320000.
"""

import os
import tempfile
from pathlib import Path

import numpy as np
from large_cohort import write_large_cohort
from large_study import Taken, run_study

CELLS = (5_000, 20_000, 80_000)
N_GENES, N_TOP_GENES, DEPTH, K = 3_000, 1_000, 600, 5
MEMORY = 16 * 2**30


def main() -> list[dict[str, object]]:
    """Return the fitted exponents of time and memory, and the figures of the largest cohort."""
    named = os.environ.get("STAGEWRIGHT_BENCH_CELLS", "")
    cells = [int(number) for number in named.split(",") if number] or [*CELLS]
    with tempfile.TemporaryDirectory(prefix="stagewright-scaling-") as folder:
        taken = [_measure(Path(folder), number) for number in cells]
    rows: list[dict[str, object]] = []
    for name, values in {
        "plan0, seconds": [one.plan0_s for one in taken],
        "plan1a, seconds": [one.plan1a_s for one in taken],
        "memory above that of the imports": [one.peak_bytes - one.import_bytes for one in taken],
    }.items():
        slope = float(np.polyfit(np.log(cells), np.log(values), 1)[0])
        sizes = f"{cells[0]:,} to {cells[-1]:,} cells"
        rows.append(
            {
                "name": f"exponent of {name}, {sizes}",
                "value": round(slope, 2),
                "goal": "<= 1.05",
                "holds": slope <= 1.05,
            }
        )
    last = taken[-1]
    for name, value in {
        "plan0, seconds": round(last.plan0_s, 1),
        "plan1a, seconds": round(last.plan1a_s, 1),
        "peak memory, MiB": round(last.peak_bytes / 2**20),
    }.items():
        rows.append({"name": f"{cells[-1]:,} cells: {name}", "value": value, "goal": None, "holds": None})
    return rows


def _measure(folder: Path, n_cells: int) -> Taken:
    data = folder / f"{n_cells}.h5ad"
    write_large_cohort(data, n_cells=n_cells, n_genes=N_GENES, depth=DEPTH)
    found = run_study(data, folder / str(n_cells), n_top_genes=N_TOP_GENES, k=K, memory_bytes=MEMORY)
    data.unlink()
    return found


if __name__ == "__main__":
    for row in main():
        print(row)
