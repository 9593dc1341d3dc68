"""Split cells into those that a fit is trained on and those that it has to predict, and genes into two halves."""

import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["HeldOutCells", "hold_out"]

FEWEST_PATIENTS = 3
N_BLOCKS = 10


@dataclass(frozen=True, slots=True)
class HeldOutCells:
    """A split of cells and genes.

    Attributes
    ----------
    held_out
        Whether a cell is held out, shape (n_cells,).
    groups
        Group of each held-out cell, shape (n_held_out,): its patient or, with fewer than three patients, one of ten
        random blocks of cells.
    grouped_by
        "patient" or "block".
    first_half
        Whether a gene is of the first half, shape (n_genes,).
    """

    held_out: npt.NDArray[np.bool_]
    groups: npt.NDArray[np.object_]
    grouped_by: str
    first_half: npt.NDArray[np.bool_]


def hold_out(patients: pd.Series, n_genes: int, *, fraction: float, seed: int) -> HeldOutCells:
    """Draw the share of each patient's cells that is held out, and the half of the genes that predicts first.

    A patient's draw depends on the seed and on its own name and number of cells alone.
    """
    held_out = np.zeros(len(patients), dtype=np.bool_)
    for patient, found in patients.groupby(patients, observed=True).indices.items():
        rows = np.asarray(found, dtype=np.intp)
        rng = np.random.default_rng([seed, zlib.crc32(str(patient).encode())])
        held_out[rng.permutation(rows)[: int(fraction * rows.size + 0.5)]] = True
    rng = np.random.default_rng([seed, n_genes])
    first_half = np.zeros(n_genes, dtype=np.bool_)
    first_half[rng.permutation(n_genes)[: n_genes // 2]] = True
    groups = patients.to_numpy(dtype=object)[held_out]
    if len(set(groups)) >= FEWEST_PATIENTS:
        return HeldOutCells(held_out, groups, "patient", first_half)
    blocks = rng.permutation(groups.size) % N_BLOCKS
    return HeldOutCells(held_out, np.array([f"block_{one}" for one in blocks], dtype=object), "block", first_half)
