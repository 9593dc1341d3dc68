"""Read out-of-fold predictions."""

from pathlib import Path

import pandas as pd
from pyarrow import lib, parquet

from stagewright.gates.model_names import MODEL, with_model_names

__all__ = ["read_oof"]

NAMES = ("patient", "cell", "penalty")
NUMBERS = ("repeat", "fold", "label", "decision", "probability", "alpha")


def read_oof(path: Path) -> pd.DataFrame | None:
    """Return the out-of-fold predictions of one configuration, one row a cell and repeat, names as categories.

    In Plan 1c's, whose models are named by more than their penalty, `penalty` holds the whole name. None when the file
    is missing, unreadable or lacks a column: the gate `promised_files` reports that.
    """
    try:
        known = set(parquet.read_schema(path).names)
        names = [*dict.fromkeys([*NAMES, *(name for name in MODEL if name in known)])]
        table = parquet.read_table(path, columns=[*names, *NUMBERS], read_dictionary=names)
    except (OSError, ValueError, lib.ArrowException):
        return None
    if set(table.column_names) != {*names, *NUMBERS}:
        return None
    frame: pd.DataFrame = with_model_names(table.to_pandas())
    return frame.astype(dict.fromkeys(NAMES, "category"))
