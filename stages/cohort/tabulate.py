"""Count the cells of a study per patient and class, after its filters, from obs alone."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stagewright.stages.cohort.open_data import open_data
from stagewright.stages.cohort.pseudonymise import read_study_columns
from stagewright.stages.cohort.records import ClassCount, CohortCounts, PatientCount
from stagewright.stages.cohort.select_cells import select_cells
from stagewright.state.pseudonym_key import PseudonymKey
from stagewright.state.spec.data import DataScope


def tabulate(path: str | Path, scope: DataScope, key: PseudonymKey | None = None) -> CohortCounts:
    """Apply a study's cohort filters to obs and count what is left.

    Parameters
    ----------
    path
        The h5ad file or zarr store that `scope.path` resolves to.
    scope
        The data section of a goal spec. Every column that it names must exist.
    key
        Of the pseudonyms that patients are named by; None for their ids.

    Returns
    -------
    Counts and what each filter removed; JSON types only.

    Raises
    ------
    CohortUnreadable
        The file cannot be read.
    CohortMismatch
        A column is not in obs, or a level not in its column (of the whole file); names what is there.
    """
    with open_data(Path(path)) as file:
        columns = read_study_columns(file, scope, key)
    levels, scope = columns.levels, columns.scope
    selection = select_cells(levels, scope)
    labels = levels[scope.label.column]
    in_class = selection.filtered & labels.isin([scope.label.positive, scope.label.negative]).to_numpy()
    timepoints = None if scope.timepoint is None else levels[scope.timepoint.column]
    return {
        "n_obs": len(labels),
        "n_kept": int(selection.in_study.sum()),
        "steps": selection.steps,
        "n_other_label": int(selection.filtered.sum() - in_class.sum()),
        "n_without_patient": int(in_class.sum() - selection.in_study.sum()),
        "patients": _count_patients(
            levels[scope.patient], (labels == scope.label.positive).to_numpy(), timepoints, selection.in_study
        ),
    }


def _count_patients(
    patients: pd.Series,
    is_positive: NDArray[np.bool_],
    timepoints: pd.Series | None,
    in_study: NDArray[np.bool_],
) -> list[PatientCount]:
    """Count each patient's classes, in whole and by time point."""
    counted: list[PatientCount] = []
    for name in sorted(patients[in_study].unique()):
        mine = in_study & (patients == name).to_numpy()
        by_time: dict[str, ClassCount] = {}
        if timepoints is not None:
            for level in sorted(timepoints[mine].unique()):
                by_time[level] = _classes(is_positive, mine & (timepoints == level).to_numpy())
        counted.append({"patient": name, **_classes(is_positive, mine), "timepoints": by_time})
    return counted


def _classes(is_positive: NDArray[np.bool_], chosen: NDArray[np.bool_]) -> ClassCount:
    """Count the two classes among the chosen cells."""
    positive = int(is_positive[chosen].sum())
    return {"positive": positive, "negative": int(chosen.sum()) - positive}
