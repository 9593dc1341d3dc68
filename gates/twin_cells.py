"""Find cells that are there twice: exactly, or but for a little noise."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["Twins", "exact_twins", "near_twins", "shared_barcodes"]

DIGITS = 5
ALIKE = 0.9999
SAMPLE = 2000
SEED = 7
BLOCK = 8192
LEAST_AXES = 20
DEPTH_WITHIN = 0.02
BARCODE = re.compile(r"(?<![A-Za-z])[ACGT]{12,}(?![A-Za-z])")
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Twins:
    """Cells with a twin among those looked at, within and between patients; the first pair by name, or None."""

    looked_at: int
    within: int
    between: int
    example: tuple[str, str] | None


def exact_twins(embeddings: Floats, depth: Floats, cells: NDArray[np.object_], patient: NDArray[np.intp]) -> Twins:
    """Find the cells whose embedding and depth are those of another cell, to five digits.

    Rows are compared by a hash, so that the time is linear in their number.

    Parameters
    ----------
    embeddings
        All axes of all embeddings, shape (n_cells, m).
    depth
        Shape (n_cells, d): library size and detected genes; cells of little depth may have the same embedding by
        chance, the same genes in the same number they have not.
    cells, patient
        Name and number of the patient of each, shape (n_cells,).
    """
    scale = np.abs(embeddings).max(axis=0, initial=0.0)
    rounded = np.round(embeddings / np.where(scale > 0, scale, 1.0), DIGITS) + 0.0
    table = pd.DataFrame(np.column_stack([rounded, depth]))
    keys = np.asarray(pd.util.hash_pandas_object(table, index=False), dtype=np.uint64)
    same = pd.Series(keys)
    of_key = pd.DataFrame({"key": keys, "patient": patient})
    size = same.groupby(same).transform("size").to_numpy()
    own = of_key.groupby(["key", "patient"])["patient"].transform("size").to_numpy()
    within, between = own > 1, size > own
    return Twins(len(cells), int(within.sum()), int(between.sum()), _example(keys, within | between, cells))


def _example(keys: NDArray[np.uint64], twin: NDArray[np.bool_], cells: NDArray[np.object_]) -> tuple[str, str] | None:
    if not twin.any():
        return None
    first = int(np.flatnonzero(twin)[0])
    second = next(int(row) for row in np.flatnonzero(keys == keys[first]) if row != first)
    return str(cells[first]), str(cells[second])


def near_twins(
    embeddings: Floats, depth: Floats, cells: NDArray[np.object_], patient: NDArray[np.intp]
) -> Twins | None:
    """Look for each of up to 2,000 cells whether another cell of the same depth lies in the same direction.

    The same direction is a cosine above 0.9999, the same depth one within 2 %. The axes are standardised first, so that
    noise in any of them tells two cells apart. None where there are fewer than 20 axes: in few dimensions cells lie in
    the same direction by chance (of 2,000 real cells 6 in ten axes of NMF, at whatever depth).

    Parameters
    ----------
    embeddings, depth, cells, patient
        As in `exact_twins`. The cells that are looked at are drawn under a fixed seed.
    """
    centred = embeddings - embeddings.mean(axis=0)
    spread = centred.std(axis=0)
    directions = (centred[:, spread > 0] / spread[spread > 0]).astype(np.float32)
    n_cells, n_axes = directions.shape
    if n_axes < LEAST_AXES:
        return None
    length = np.linalg.norm(directions, axis=1, keepdims=True)
    directions /= np.where(length > 0, length, 1.0)
    drawn = np.sort(np.random.default_rng(SEED).permutation(n_cells)[:SAMPLE])
    within, between = np.zeros(drawn.size, bool), np.zeros(drawn.size, bool)
    example = None
    for start in range(0, n_cells, BLOCK):
        alike = directions[drawn] @ directions[start : start + BLOCK].T
        rows, columns = np.nonzero(alike > ALIKE)
        columns += start
        apart = np.abs(depth[drawn[rows]] - depth[columns]) > DEPTH_WITHIN * np.abs(depth[columns])
        others = (drawn[rows] != columns) & ~apart.any(axis=1)
        rows, columns = rows[others], columns[others]
        same = patient[drawn[rows]] == patient[columns]
        within[rows[same]] = True
        between[rows[~same]] = True
        if example is None and rows.size:
            example = (str(cells[drawn[rows[0]]]), str(cells[columns[0]]))
    return Twins(drawn.size, int(within.sum()), int(between.sum()), example)


def shared_barcodes(cells: NDArray[np.object_], patient: NDArray[np.object_]) -> Mapping[tuple[str, str], float]:
    """Return, for pairs of patients that share barcodes, the share of the smaller one's that the other has too.

    A barcode is a run of at least 12 letters of ACGT in a cell's name; names without one are left out.
    """
    found = [BARCODE.search(str(name)) for name in cells]
    table = pd.DataFrame(
        {"barcode": [match.group() if match else "" for match in found], "patient": patient}
    ).drop_duplicates()
    table = table[table["barcode"] != ""]
    size = table["patient"].value_counts()
    repeated = table[table.duplicated("barcode", keep=False)]
    pairs = repeated.merge(repeated, on="barcode")
    pairs = pairs[pairs["patient_x"].astype(str) < pairs["patient_y"].astype(str)]
    counted = pairs.groupby(["patient_x", "patient_y"], observed=True).size().reset_index(name="cells")
    return {
        (str(first), str(second)): float(number) / float(min(size[first], size[second]))
        for first, second, number in zip(counted["patient_x"], counted["patient_y"], counted["cells"], strict=True)
    }
