"""Read the tables of a classification step: every field as text, numbers where they are asked for.

Text first, because a patient may well be called 7, or NA.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["numbers", "read_csv"]


def read_csv(path: Path, needed: tuple[str, ...]) -> pd.DataFrame | None:
    """Return a csv as text, or None when it is missing, unreadable or lacks a needed column.

    The gate `promised_files` reports all three.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError):
        return None
    return table if set(needed) <= set(table.columns) else None


def numbers(column: pd.Series) -> NDArray[np.float64]:
    """Return a column of text as numbers; NaN where it says none."""
    return np.asarray(pd.to_numeric(column, errors="coerce"), dtype=np.float64)
