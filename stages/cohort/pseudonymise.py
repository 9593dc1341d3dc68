"""Read who the patients of a file are, and name them by pseudonyms before anybody else sees them."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from stagewright.stages.cohort.obs_column import level_texts, read_names, read_obs_column
from stagewright.stages.cohort.store import Store
from stagewright.state.pseudonym_key import PseudonymKey, read_key
from stagewright.state.pseudonyms import Pseudonyms, make_pseudonyms
from stagewright.state.spec.data import DataScope

__all__ = ["StudyColumns", "read_study_columns"]


class StudyColumns:
    """The obs columns that a study loads, over the whole file, with patients named as the study names them.

    Attributes
    ----------
    levels
        By column, text of shape (n_obs,), missing where the file has no value.
    scope
        The data scope, whose filters name levels as `levels` has them.
    pseudonyms
        What was renamed; None where the study names patients by their ids.
    """

    def __init__(self, levels: Mapping[str, pd.Series], scope: DataScope, pseudonyms: Pseudonyms | None) -> None:
        self.pseudonyms = pseudonyms
        if pseudonyms is None:
            self.levels, self.scope = {**levels}, scope
            return
        self.scope = pseudonyms.scope(scope)
        self.levels = {name: _renamed(column, pseudonyms.columns.get(name)) for name, column in levels.items()}

    def cells(self, names: pd.Index) -> pd.Index:
        """Return names of cells as the study has them."""
        if self.pseudonyms is None or not self.pseudonyms.cells:
            return names
        return pd.Index([self.pseudonyms.cell(str(name)) for name in names], dtype=object)


def read_study_columns(file: Store, scope: DataScope, key: PseudonymKey | None) -> StudyColumns:
    """Read the columns that a scope names.

    Parameters
    ----------
    key
        Of the pseudonyms; None where patients are named by their ids.

    Raises
    ------
    CohortMismatch
        A column is not there.
    KeyUnusable
        The key is gone, or is another than the study's.
    """
    levels = {name: level_texts(read_obs_column(file, name)) for name in scope.obs_columns}
    if key is None:
        return StudyColumns(levels, scope, None)
    secret = read_key(Path(key.key_file), key.key_id)
    patients = levels[scope.patient]
    others = [name for name in levels if name not in (scope.patient, scope.label.column)]
    names = read_names(file, "obs")
    known = patients.notna().to_numpy()
    pseudonyms = make_pseudonyms(
        secret,
        scope.patient,
        patients[known].unique(),
        {name: _pairs(levels[name], patients) for name in others},
        zip(map(str, names[known]), patients[known], strict=True),
    )
    return StudyColumns(levels, scope, pseudonyms)


def _pairs(column: pd.Series, patients: pd.Series) -> list[tuple[str, str]]:
    both = pd.DataFrame({"level": column, "patient": patients}).dropna().drop_duplicates()
    return list(zip(both["level"], both["patient"], strict=True))


def _renamed(column: pd.Series, names: Mapping[str, str] | None) -> pd.Series:
    return column if names is None else column.map(lambda level: names.get(level, level), na_action="ignore")
