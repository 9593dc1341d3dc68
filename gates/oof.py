"""Read out-of-fold predictions."""

from pathlib import Path

import pandas as pd
from pyarrow import lib, parquet

__all__ = ["read_oof"]

NAMES = ("patient", "cell", "penalty")
NUMBERS = ("repeat", "fold", "label", "decision", "probability", "alpha")


def read_oof(path: Path) -> pd.DataFrame | None:
    """Return the out-of-fold predictions of one configuration, one row a cell and repeat, names as categories.

    None when the file is missing, unreadable or lacks a column: the gate `promised_files` reports that.
    """
    try:
        table = parquet.read_table(path, columns=[*NAMES, *NUMBERS], read_dictionary=list(NAMES))
    except (OSError, ValueError, lib.ArrowException):
        return None
    if set(table.column_names) != {*NAMES, *NUMBERS}:
        return None
    frame: pd.DataFrame = table.to_pandas()
    return frame.astype(dict.fromkeys(NAMES, "category"))
