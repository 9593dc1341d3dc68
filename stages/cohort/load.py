"""Load a study's cells into memory, once: raw counts, and the obs columns that the goal spec names."""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata.io import read_elem, sparse_dataset
from numpy.typing import NDArray

from stagewright.stages.cohort.draw_cells import draw_cells
from stagewright.stages.cohort.obs_column import level_texts, read_names, read_obs_column
from stagewright.stages.cohort.open_h5ad import open_h5ad
from stagewright.stages.cohort.sealed_file import check_sealed
from stagewright.stages.cohort.select_cells import select_cells
from stagewright.stages.preprocess.normalise import check_counts
from stagewright.state.step_request import StepRequest

__all__ = ["Cohort", "load_cohort"]


@dataclass(frozen=True, slots=True)
class Cohort:
    """The cells of one checkpoint.

    Attributes
    ----------
    counts
        Raw counts, CSR float32 of shape (n_cells, n_genes).
    obs
        The columns that the goal spec names, as text, indexed by cell name. No other column is ever loaded, so none
        that leaks the label can become a feature.
    var_names
        Gene names, shape (n_genes,).
    patients
        Patient of each cell, shape (n_cells,).
    positive
        Whether a cell is of the positive class, shape (n_cells,).
    cells_per_patient
        The bound on the cells of each patient; None where no patient has more, so that all cells are there.
    """

    counts: sp.csr_matrix
    obs: pd.DataFrame
    var_names: pd.Index
    patients: pd.Series
    positive: NDArray[np.bool_]
    cells_per_patient: int | None = None

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return len(self.obs)

    def column(self, name: str) -> NDArray[np.object_]:
        """Return one of the loaded obs columns, shape (n_cells,).

        Raises
        ------
        ValueError
            When the goal spec does not name the column, so that it was not loaded.
        """
        if name not in self.obs:
            raise ValueError(f"obs column {name!r} was not loaded; name it under data.columns of the goal spec")
        return self.obs[name].to_numpy(dtype=object)


def load_cohort(request: StepRequest) -> Cohort:
    """Load the cells that a step looks at.

    Raises
    ------
    CohortUnreadable
        The file is not the one that was sealed, or cannot be read.
    ValueError
        The counts hold negative, non-integer or missing values.
    """
    path, scope = Path(request.data.path), request.scope
    check_sealed(request.data)
    with open_h5ad(path) as file:
        levels = {name: level_texts(read_obs_column(file, name)) for name in scope.obs_columns}
        selection = select_cells(levels, scope)
        patients, positive = levels[scope.patient], (levels[scope.label.column] == scope.label.positive).to_numpy()
        rows = np.flatnonzero(selection.in_study)
        kept = draw_cells(
            patients.iloc[rows].reset_index(drop=True),
            positive[rows],
            request.study.cells_per_patient,
        )
        bound = None if kept.all() else request.study.cells_per_patient
        rows = rows[kept]
        counts = _read_rows(file, scope.counts, rows)
        names = read_names(file, "obs")[rows]
        var_names = read_names(file, "raw/var" if scope.counts == "raw" else "var")
    check_counts(counts)
    obs = pd.DataFrame({name: column.iloc[rows].to_numpy() for name, column in levels.items()}, index=names)
    return Cohort(counts, obs, var_names, obs[scope.patient], positive[rows], bound)


def _read_rows(file: h5py.File, location: str, rows: NDArray[np.int64]) -> sp.csr_matrix:
    """Read some rows of a matrix as CSR float32, not touching more of a CSR file than it must."""
    stored = file["raw/X"] if location == "raw" else file[location]
    if isinstance(stored, h5py.Dataset):
        return sp.csr_matrix(stored[:][rows], dtype=np.float32)
    if stored.attrs.get("encoding-type") == "csr_matrix":
        matrix = sparse_dataset(stored)[rows]
    else:
        matrix = read_elem(stored).tocsr()[rows]
    counts = sp.csr_matrix(matrix, dtype=np.float32)
    counts.sort_indices()
    return counts
