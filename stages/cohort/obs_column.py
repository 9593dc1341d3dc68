"""Read single columns of obs from an open file, never the whole table and never a matrix."""

import difflib

import numpy as np
import pandas as pd
from anndata.io import read_elem

from stagewright.stages.cohort.store import Store, is_array, place_of
from stagewright.stages.cohort.unreadable import CohortMismatch, CohortUnreadable

MAX_NAMED = 30


def obs_columns(file: Store) -> list[str]:
    """Name the columns of obs in their stored order.

    Raises
    ------
    CohortUnreadable
        obs is stored in the way of anndata before 0.7, as one table.
    """
    obs = file["obs"]
    if is_array(obs) or obs.attrs.get("encoding-type") != "dataframe":
        raise CohortUnreadable(
            f"{place_of(file)}: obs is stored in an old way; read the file with anndata and write it again"
        )
    return [_text(name) for name in obs.attrs["column-order"]]


def read_names(file: Store, table: str) -> pd.Index:
    """Read obs_names or var_names; `table` is `obs` or `var`."""
    group = file[table]
    index = group.attrs.get("_index") if not is_array(group) else None
    if index is None or _text(index) not in group:
        raise CohortUnreadable(f"{place_of(file)}: {table} has no index; read the file with anndata and write it again")
    names: pd.Index = pd.Index(np.asarray(read_elem(group[_text(index)]), dtype=object))
    return names


def read_obs_column(file: Store, name: str) -> pd.Series:
    """Read one column of obs.

    Raises
    ------
    CohortMismatch
        There is no such column; names the nearest one.
    """
    columns = obs_columns(file)
    if name not in columns:
        near = difflib.get_close_matches(name, columns, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise CohortMismatch(f"obs has no column {name!r}{hint} It has: {_shown(columns)}", named=name, allowed=columns)
    return pd.Series(read_elem(file["obs"][name]), name=name)


def _shown(names: list[str]) -> str:
    return ", ".join(names[:MAX_NAMED]) + (f", and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else "")


def level_texts(column: pd.Series) -> pd.Series:
    """Turn values into the text that a goal spec writes; missing stays missing.

    Whole numbers lose their `.0`: a column of 1.0 and 2.0 (integers with gaps) has the levels `1` and `2`.
    """
    present = column[column.notna()]
    distinct = {value: level_text(value) for value in present.unique()}
    return column.astype(object).map(distinct)


def level_text(value: object) -> str:
    """Write one level as text, in a column and in a spec alike."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _text(value: object) -> str:
    """HDF5 attributes are text or bytes, depending on who wrote them."""
    return value.decode() if isinstance(value, bytes) else str(value)
