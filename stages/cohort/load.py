"""Load a study's cells, once: raw counts, and the obs columns that the goal spec names."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from stagewright.stages.cohort.counts_source import CountsSource, MemoryCounts
from stagewright.stages.cohort.draw_cells import draw_cells
from stagewright.stages.cohort.obs_column import read_names
from stagewright.stages.cohort.open_data import open_data
from stagewright.stages.cohort.pseudonymise import read_study_columns
from stagewright.stages.cohort.read_counts import CountsWanted, read_counts
from stagewright.stages.cohort.sealed_file import check_sealed
from stagewright.stages.cohort.select_cells import select_cells
from stagewright.state.step_request import StepRequest

__all__ = ["Cohort", "CountsTooLarge", "load_cohort"]

COUNTS_SHARE = 8
"""Counts of all genes may take an eighth of the memory budget; beyond that they are read from the disk as needed."""


class CountsTooLarge(ValueError):  # noqa: N818 - names the state of the data, as Refusal names the reply
    """The counts of all genes do not fit in memory, and what was asked for needs them there."""


@dataclass(frozen=True, slots=True)
class Cohort:
    """The cells of one checkpoint.

    Attributes
    ----------
    source
        Raw counts of shape (n_cells, n_genes), in memory or, where they do not fit, on the disk.
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

    source: CountsSource
    obs: pd.DataFrame
    var_names: pd.Index
    patients: pd.Series
    positive: NDArray[np.bool_]
    cells_per_patient: int | None = None

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return len(self.obs)

    @property
    def counts(self) -> sp.csr_matrix:
        """Raw counts in memory, CSR float32 of shape (n_cells, n_genes).

        Raises
        ------
        CountsTooLarge
            They do not fit; `source` gives them in blocks.
        """
        if isinstance(self.source, MemoryCounts):
            return self.source.matrix
        gib = self.source.n_nonzero * 8 / 2**30
        raise CountsTooLarge(
            f"the counts of {self.source.shape[0]:,} cells x {self.source.shape[1]:,} genes take {gib:.1f} GiB, more "
            f"than 1/{COUNTS_SHARE} of the memory budget, and cv.scope pipeline, which takes other cells for each "
            "fold, needs them in memory; raise budget.memory, lower cells_per_patient, or plan with cv.scope classifier"
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of results should know of the cells."""
        empty = int(np.count_nonzero(self.source.totals == 0))
        if not empty:
            return ()
        return (f"{empty:,} of {self.n_cells:,} cells have no count of any gene: they stay, with zero expression",)

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


def load_cohort(request: StepRequest, scratch: Path | None = None) -> Cohort:
    """Load the cells that a step looks at.

    Parameters
    ----------
    scratch
        A folder on a disk with room for counts that do not fit in memory and are stored by genes (CSC), so that they
        have to be written anew; None for where temporary files go.

    Raises
    ------
    CohortUnreadable
        The file is not the one that was sealed, or cannot be read.
    CountsUnusable
        The counts hold negative, non-integer or missing values.
    KeyUnusable
        The study names patients by pseudonyms, and their key is gone.
    """
    path = Path(request.data.path)
    check_sealed(request.data)
    with open_data(path) as file:
        columns = read_study_columns(file, request.scope, request.pseudonyms)
        levels, scope = columns.levels, columns.scope
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
        names = columns.cells(read_names(file, "obs")[rows])
        var_names = read_names(file, "raw/var" if scope.counts == "raw" else "var")
        most = request.limits.memory_bytes // COUNTS_SHARE
        source = read_counts(file, CountsWanted(path, scope.counts, rows, names, var_names, most, scratch))
    obs = pd.DataFrame({name: column.iloc[rows].to_numpy() for name, column in levels.items()}, index=names)
    return Cohort(source, obs, var_names, obs[scope.patient], positive[rows], bound)
