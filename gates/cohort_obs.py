"""Read who the cells are: patient and label of each cell, from obs and nothing else."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from anndata.io import read_elem
from numpy.typing import NDArray

from stagewright.gates.places import embedding_file
from stagewright.gates.protocol import GateContext
from stagewright.state.pseudonym_key import PseudonymKey, read_key
from stagewright.state.pseudonyms import Pseudonyms, make_pseudonyms
from stagewright.state.spec.data import DataScope

__all__ = ["ClassCounts", "class_counts", "grouped_cells", "labelled_cells", "obs_in_scope", "strata_of_cells"]

MISSING = ""


@dataclass(frozen=True, slots=True)
class ClassCounts:
    """How many cells of each class a patient has."""

    positive: int
    negative: int

    @property
    def both(self) -> bool:
        """Whether the patient has cells of both classes."""
        return self.positive > 0 and self.negative > 0


def labelled_cells(context: GateContext, tag: str) -> pd.DataFrame | None:
    """Return the cells of one preprocess that have one of the two labels, or None when their file is not there.

    Returns
    -------
    pandas.DataFrame
        Columns cell, patient (text) and positive (bool), one row a cell, in the order of the file.
    """
    return context.once(_read_cells, tag)


def _read_cells(context: GateContext, tag: str) -> pd.DataFrame | None:
    path = context.run / embedding_file(context.request.checkpoint, tag)
    return _labelled(path, context.request.scope, {}) if path.is_file() else None


def grouped_cells(context: GateContext, tag: str, column: str) -> pd.Series | None:
    """Return an obs column of the cells of one preprocess as text, by cell; None when their file or it is not there."""
    return context.once(_read_column, tag, column)


def _read_column(context: GateContext, tag: str, column: str) -> pd.Series | None:
    path = context.run / embedding_file(context.request.checkpoint, tag)
    if not path.is_file():
        return None
    with h5py.File(path, "r") as file:
        obs = file["obs"]
        if column not in obs:
            return None
        return pd.Series(_text(obs, column), index=_text(obs, str(obs.attrs["_index"])))


def strata_of_cells(context: GateContext, tag: str) -> pd.DataFrame | None:
    """Return the cells as `labelled_cells` does, with the stratum within which each cell's label is permuted."""
    return context.once(_read_strata, tag)


def _read_strata(context: GateContext, tag: str) -> pd.DataFrame | None:
    cells = labelled_cells(context, tag)
    columns = {name: grouped_cells(context, tag, name) for name in context.request.study.permutation_strata}
    if cells is None or any(column is None for column in columns.values()):
        return None
    levels = pd.DataFrame(columns).loc[cells["cell"].to_numpy()]
    return cells.assign(stratum=levels.groupby([*columns], observed=True, sort=True).ngroup().to_numpy())


def obs_in_scope(path: Path, scope: DataScope, key: PseudonymKey | None = None) -> pd.DataFrame:
    """Return the labelled cells of the study's data file that pass the time points and filters of its scope.

    The columns are those of `labelled_cells`. With the key of pseudonyms, patients and cells are named by them.

    Raises
    ------
    OSError, KeyError
        When the file is not a readable h5ad file, or has no such column.
    KeyUnusable
        When the key is gone, or is another than the study's.
    """
    if key is None:
        return _labelled(path, scope, _rules(scope))
    names = _pseudonyms(path, scope, key)
    return _labelled(path, scope, _rules(names.scope(scope)), names)


def _rules(scope: DataScope) -> dict[str, list[tuple[bool, tuple[str, ...]]]]:
    kept: dict[str, list[tuple[bool, tuple[str, ...]]]] = {}
    if scope.timepoint is not None:
        kept.setdefault(scope.timepoint.column, []).append((True, scope.timepoint.keep))
    for item in scope.filters:
        rule = (True, item.keep) if item.keep is not None else (False, item.drop or ())
        kept.setdefault(item.column, []).append(rule)
    return kept


def _pseudonyms(path: Path, scope: DataScope, key: PseudonymKey) -> Pseudonyms:
    """Return the pseudonyms of the data file, by the rule that the stages follow, from a reading of our own."""
    secret = read_key(Path(key.key_file), key.key_id)
    with _opened(path) as file:
        obs = file["obs"]
        columns = {name: _text(obs, name) for name in scope.obs_columns}
        cells = _text(obs, str(obs.attrs["_index"]))
    patients = columns.pop(scope.patient)
    known = patients != MISSING
    pairs = {
        name: sorted(
            {(str(level), str(who)) for level, who in zip(texts[known], patients[known], strict=True) if level}
        )
        for name, texts in columns.items()
        if name != scope.label.column
    }
    named = zip(map(str, cells[known]), map(str, patients[known]), strict=True)
    return make_pseudonyms(secret, scope.patient, map(str, set(patients[known])), pairs, named)


def class_counts(cells: pd.DataFrame) -> dict[str, ClassCounts]:
    """Return the cells of each class for each patient, ordered by patient."""
    table = cells.groupby("patient", observed=True)["positive"].agg(["sum", "size"])
    return {
        str(patient): ClassCounts(positive=int(positive), negative=int(size - positive))
        for patient, positive, size in zip(table.index, table["sum"], table["size"], strict=True)
    }


def _labelled(
    path: Path,
    scope: DataScope,
    rules: dict[str, list[tuple[bool, tuple[str, ...]]]],
    names: Pseudonyms | None = None,
) -> pd.DataFrame:
    with _opened(path) as file:
        obs = file["obs"]
        cells = _text(obs, str(obs.attrs["_index"]))
        patient, label = _named(obs, scope.patient, names), _text(obs, scope.label.column)
        positive, negative = label == scope.label.positive, label == scope.label.negative
        kept = (positive | negative) & (patient != MISSING)
        for column, wanted in rules.items():
            values = _named(obs, column, names)
            for keep, levels in wanted:
                kept &= np.isin(values, levels) == keep
    shown = cells[kept] if names is None else [names.cell(str(cell)) for cell in cells[kept]]
    return pd.DataFrame({"cell": shown, "patient": patient[kept], "positive": positive[kept]})


def _named(obs: h5py.Group, column: str, names: Pseudonyms | None) -> NDArray[np.object_]:
    """Return a column as text, with patients by their pseudonyms where the study has them."""
    texts, renamed = _text(obs, column), {} if names is None else names.columns.get(column, {})
    return np.array([renamed.get(text, text) for text in texts], dtype=object) if renamed else texts


@contextmanager
def _opened(path: Path) -> Generator[h5py.Group]:
    """Open an h5ad file, or a folder as a zarr store: its groups have the same part of the interface."""
    if path.is_dir():
        import zarr  # noqa: PLC0415 - half a second, and only a zarr store needs it

        yield zarr.open_group(path, mode="r")
        return
    with h5py.File(path, "r") as file:
        yield file


def _text(obs: h5py.Group, column: str) -> NDArray[np.object_]:
    """Return a column as text, as a spec writes its levels; empty where a value is missing, which no level is."""
    values = pd.Series(read_elem(obs[column])).astype(object)
    known = values.notna()
    levels = {value: _level(value) for value in values[known].unique()}
    return values.map(levels).where(known, MISSING).to_numpy(dtype=object)


def _level(value: object) -> str:
    # Integers with gaps are stored as floating-point numbers.
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
