"""Guess where the raw counts lie, from the first few thousand stored values of each matrix."""

import numpy as np

from stagewright.stages.cohort.records import Guess, MatrixFacts
from stagewright.stages.cohort.store import Store, is_array

LOOK_AT = 4_096
PREFERRED = ("counts", "raw_counts", "raw", "umi")


def guess_counts(file: Store, matrices: list[MatrixFacts]) -> Guess:
    """Find the matrices that hold whole, non-negative numbers.

    X is taken first, then a layer named like counts, then raw, then any other layer.

    Parameters
    ----------
    file
        An open h5ad file or zarr store.
    matrices
        Its matrices, as `inspect_h5ad` lists them.

    Returns
    -------
    The place as `data.counts` names it; None when no matrix looks like counts.
    """
    whole = [facts["location"] for facts in matrices if _looks_like_counts(file, facts)]
    if not whole:
        looked = ", ".join(facts["location"] for facts in matrices)
        reason = f"none holds whole non-negative numbers only (looked at {LOOK_AT} values of each of: {looked})"
        return {"value": None, "reason": reason, "alternatives": []}
    ranked = sorted(whole, key=_preference)
    reason = f"the first {LOOK_AT} stored values of {ranked[0]} are whole and non-negative"
    return {"value": ranked[0], "reason": reason, "alternatives": ranked[1:]}


def _preference(location: str) -> int:
    """Order the places; equal ones stay in the order of the file."""
    if location == "X":
        return 0
    if location.removeprefix("layers/").lower() in PREFERRED:
        return 2 if location == "raw" else 1
    return 3


def _looks_like_counts(file: Store, facts: MatrixFacts) -> bool:
    """Test a bounded piece of one matrix."""
    element = file["raw/X" if facts["location"] == "raw" else facts["location"]]
    if is_array(element):
        rows = max(1, LOOK_AT // max(1, facts["n_vars"]))
        values = element[:rows].ravel()[:LOOK_AT]
    else:
        values = element["data"][:LOOK_AT]
    stored = np.asarray(values, dtype=np.float64)
    # An empty or all-zero piece proves nothing.
    return bool(stored.any() and np.all(stored >= 0) and np.all(stored == np.rint(stored)))
