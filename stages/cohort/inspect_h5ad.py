"""Say what an h5ad file or a zarr store holds, from obs, var and metadata; the data of a matrix is never read."""

from pathlib import Path

import pandas as pd

from stagewright.stages.cohort.obs_column import level_texts, obs_columns, read_names, read_obs_column
from stagewright.stages.cohort.open_data import open_data
from stagewright.stages.cohort.records import ColumnFacts, ColumnKind, FileFacts, MatrixFacts
from stagewright.stages.cohort.store import Element, Store, is_array, place_of
from stagewright.stages.cohort.unreadable import CohortUnreadable
from stagewright.state.canonical import data_bytes

MAX_LEVELS = 50
MAX_REPEATED = 10


def inspect_h5ad(path: str | Path, *, max_levels: int = MAX_LEVELS) -> FileFacts:
    """Look into a file.

    Parameters
    ----------
    path
        An h5ad file or a zarr store.
    max_levels
        How many levels of a column are listed, the most frequent first.

    Returns
    -------
    Shapes, storage, columns of obs with their levels, and whether names are unique; JSON types only.

    Raises
    ------
    CohortUnreadable
        No such file, not HDF5, cut short, or without X, obs or var.
    """
    place = Path(path)
    with open_data(place) as file:
        matrices = list_matrices(file)
        var_names = read_names(file, "var")
        obs_names = read_names(file, "obs")
        in_raw = any(matrix["location"] == "raw" for matrix in matrices)
        raw_var_names = read_names(file, "raw/var") if in_raw else pd.Index([])
        # Columns with a slash in their name are groups of groups, which anndata no longer writes.
        columns = [describe_column(read_obs_column(file, name), max_levels) for name in obs_columns(file)]
    for matrix in matrices:
        n_vars = len(raw_var_names) if matrix["location"] == "raw" else len(var_names)
        if (matrix["n_obs"], matrix["n_vars"]) != (len(obs_names), n_vars):
            raise CohortUnreadable(
                f"{path}: {matrix['location']} is {matrix['n_obs']} x {matrix['n_vars']} but obs has {len(obs_names)} "
                f"rows and var {n_vars}; write the file again"
            )
    return {
        "path": str(place),
        "size_bytes": data_bytes(place),
        "n_obs": len(obs_names),
        "n_vars": len(var_names),
        "matrices": matrices,
        "obs_columns": columns,
        "obs_names_unique": bool(obs_names.is_unique),
        "var_names_unique": bool(var_names.is_unique),
        "repeated_var_names": _repeated(var_names),
        "repeated_raw_var_names": _repeated(raw_var_names),
    }


def _repeated(names: pd.Index) -> list[str]:
    return [str(name) for name in names[names.duplicated()].unique()[:MAX_REPEATED]]


def describe_column(column: pd.Series, max_levels: int = MAX_LEVELS) -> ColumnFacts:
    """Summarise one column of obs."""
    kind = _kind(column)
    levels = pd.Series(dtype="int64") if kind == "real" else level_texts(column).value_counts()
    n_unique = column.nunique() if kind == "real" else len(levels)
    # Equal counts in the order of their names, so that two looks at a file agree.
    ordered = sorted(levels.items(), key=lambda pair: (-int(pair[1]), str(pair[0])))
    return {
        "name": str(column.name),
        "kind": kind,
        "n_unique": int(n_unique),
        "n_missing": int(column.isna().sum()),
        "levels": [{"level": str(level), "n_cells": int(count)} for level, count in ordered[:max_levels]],
    }


def _kind(column: pd.Series) -> ColumnKind:
    """Sort a column's dtype into six kinds."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return "categorical"
    if pd.api.types.is_bool_dtype(column.dtype):
        return "boolean"
    if pd.api.types.is_integer_dtype(column.dtype):
        return "integer"
    if pd.api.types.is_float_dtype(column.dtype):
        return "real"
    if pd.api.types.is_string_dtype(column.dtype) or column.dtype == object:
        return "text"
    return "other"


def list_matrices(file: Store) -> list[MatrixFacts]:
    """Describe X, the layers and raw, those that are there."""
    found = [_matrix(file["X"], "X")] if "X" in file else []  # anndata leaves out an X that is None
    layers = file.get("layers")
    if layers is not None and not is_array(layers):
        found += [_matrix(layers[name], f"layers/{name}") for name in sorted(layers)]
    raw = file.get("raw")
    if raw is not None and not is_array(raw) and "X" in raw:
        found.append(_matrix(raw["X"], "raw"))
    return found


def _matrix(element: Element, location: str) -> MatrixFacts:
    """Describe one matrix from its attributes and the shapes of its datasets."""
    if is_array(element):
        if element.ndim != 2:  # noqa: PLR2004 - a matrix has two dimensions
            raise CohortUnreadable(f"{place_of(element)}: {location} has no two dimensions; write the file again")
        rows, columns = element.shape
        return {
            "location": location,
            "n_obs": int(rows),
            "n_vars": int(columns),
            "dtype": str(element.dtype),
            "encoding": "dense",
            "n_stored": int(element.size),
        }
    encoding = element.attrs.get("encoding-type")
    if encoding not in {"csr_matrix", "csc_matrix"} or "data" not in element:
        raise CohortUnreadable(
            f"{place_of(element)}: {location} is stored as {encoding!r}; it must be a csr_matrix, a csc_matrix "
            "or a dense array"
        )
    rows, columns = element.attrs["shape"]
    return {
        "location": location,
        "n_obs": int(rows),
        "n_vars": int(columns),
        "dtype": str(element["data"].dtype),
        "encoding": "csr" if encoding == "csr_matrix" else "csc",
        "n_stored": int(element["data"].shape[0]),
    }
