"""Draw bootstrap samples of a cohort's cells."""

import zlib
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["Bootstrap", "bootstrap_rows"]

Bootstrap = Literal["bootstrap_cells", "bootstrap_patients"]

SEED = 20_261_127


def bootstrap_rows(patients: pd.Series, kind: Bootstrap, number: int) -> NDArray[np.intp]:
    """Return the rows of one bootstrap sample, in increasing order, with repeats.

    Parameters
    ----------
    patients
        Patient of each cell, shape (n_cells,).
    kind
        "bootstrap_cells": as many cells of each patient as it has, with replacement; says how much depends on which
        cells were caught. A patient's draw depends on the number and on its own name and number of cells alone.
        "bootstrap_patients": as many patients as there are, with replacement, each with all its cells (the cluster
        bootstrap; Davison & Hinkley 1997, section 3.8); says how much depends on which patients were recruited.
    number
        Of the sample; the same number gives the same rows.

    Returns
    -------
    Shape (n_cells,) for cells; the sum of the drawn patients' cells for patients.

    Raises
    ------
    ValueError
        There is one patient only, and patients are to be drawn.
    """
    groups = {
        str(patient): np.asarray(rows, dtype=np.intp)
        for patient, rows in patients.groupby(patients, observed=True).indices.items()
    }
    if kind == "bootstrap_cells":
        drawn = [
            np.random.default_rng([SEED, number, zlib.crc32(name.encode())]).choice(rows, rows.size)
            for name, rows in groups.items()
        ]
    else:
        if len(groups) < 2:  # noqa: PLR2004 - of one patient every sample is the same
            raise ValueError(
                "bootstrap_patients needs at least two patients, and there is one; use replicates: bootstrap_cells"
            )
        names = sorted(groups)
        chosen = np.random.default_rng([SEED, number]).choice(len(names), len(names))
        drawn = [groups[names[one]] for one in chosen]
    return np.sort(np.concatenate(drawn))
