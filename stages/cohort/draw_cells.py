"""Draw a checkpoint's share of each patient's cells so that both classes stay."""

import zlib

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["draw_cells"]

SEED = 20_261_122
MINORITY_SHARE = 4


def draw_cells(patients: pd.Series, positive: NDArray[np.bool_], cells_per_patient: int | None) -> NDArray[np.bool_]:
    """Return which cells a checkpoint looks at.

    A class keeps its share of the patient's cells, but at least a quarter of the draw (or all of its cells, if it has
    fewer), so that a patient with both classes never loses one. A patient's draw depends on the patient's own cells
    alone, not on which others are in scope.

    Parameters
    ----------
    patients
        Patient of each cell, shape (n_cells,).
    positive
        Class of each cell, shape (n_cells,).
    cells_per_patient
        At most this many cells of each patient; None keeps all.

    Returns
    -------
    Boolean array of shape (n_cells,).
    """
    if cells_per_patient is None:
        return np.ones(len(patients), dtype=bool)
    drawn = np.zeros(len(patients), dtype=bool)
    for patient, rows in patients.groupby(patients, observed=True).indices.items():
        if len(rows) <= cells_per_patient:
            drawn[rows] = True
            continue
        source = np.random.default_rng([SEED, zlib.crc32(str(patient).encode())])
        here = positive[rows]
        small, large = sorted((np.compress(here, rows), np.compress(~here, rows)), key=lambda pool: pool.size)
        n_small = max(round(cells_per_patient * small.size / len(rows)), cells_per_patient // MINORITY_SHARE)
        n_small = min(n_small, small.size)
        for pool, count in ((small, n_small), (large, cells_per_patient - n_small)):
            drawn[source.permutation(pool)[:count]] = True
    return drawn
