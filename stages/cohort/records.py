"""The shapes of what is said about a data file; plain JSON types, so that they cross a process boundary as they are.

Imports nothing heavy: a process that only reads these answers stays light.
"""

from typing import Literal, TypedDict

ColumnKind = Literal["categorical", "text", "integer", "real", "boolean", "other"]


class MatrixFacts(TypedDict):
    """One matrix of the file, from its metadata alone."""

    location: str
    """`X`, `layers/<name>` or `raw`, as `data.counts` of a goal spec names it."""
    n_obs: int
    n_vars: int
    dtype: str
    encoding: Literal["csr", "csc", "dense"]
    n_stored: int
    """Stored values; for a dense matrix all of them."""


class LevelCount(TypedDict):
    """One level of a column, as text, and its number of cells."""

    level: str
    n_cells: int


class ColumnFacts(TypedDict):
    """One column of obs."""

    name: str
    kind: ColumnKind
    n_unique: int
    """Distinct values that are not missing."""
    n_missing: int
    levels: list[LevelCount]
    """The most frequent levels first, at most 50; empty for real numbers."""


class FileFacts(TypedDict):
    """What an h5ad file holds."""

    path: str
    size_bytes: int
    n_obs: int
    n_vars: int
    matrices: list[MatrixFacts]
    """X first where there is one, then layers by name, then raw."""
    obs_columns: list[ColumnFacts]
    obs_names_unique: bool
    var_names_unique: bool
    repeated_var_names: list[str]
    repeated_raw_var_names: list[str]
    """At most 10 of them, of var and of raw.var."""


class ClassCount(TypedDict):
    """Cells of the two classes."""

    positive: int
    negative: int


class PatientCount(TypedDict):
    """One patient after the cohort filters."""

    patient: str
    positive: int
    negative: int
    timepoints: dict[str, ClassCount]
    """By level of the time-point column; empty when the study names none."""


class FilterStep(TypedDict):
    """What one filter removed."""

    column: str
    n_before: int
    n_after: int


class CohortCounts(TypedDict):
    """Cells per patient and class after the cohort filters."""

    n_obs: int
    """Cells in the file."""
    n_kept: int
    """Cells after the filters with one of the two labels and a patient."""
    steps: list[FilterStep]
    n_other_label: int
    """Cells after the filters whose label is neither of the two, or missing."""
    n_without_patient: int
    """Cells after the filters with one of the two labels and no patient."""
    patients: list[PatientCount]
    """In the order of their names; patients without a cell left are not listed."""


class Guess(TypedDict):
    """One guess about a field of the goal spec, for a person to confirm."""

    value: str | None
    """None: nothing in the file looks like it."""
    reason: str
    alternatives: list[str]


class LabelGuess(TypedDict):
    """The label column with its two classes."""

    column: str | None
    positive: str | None
    negative: str | None
    other_levels: list[str]
    """Levels that a study of these two classes leaves out."""
    reason: str
    alternatives: list[str]


class LeakGuess(TypedDict):
    """A column that tells the label in whole or in part; never to be used as a feature."""

    column: str
    strength: float
    """In [0, 1]; higher tells more."""
    measure: Literal["cramers_v", "auc"]
    """Bias-corrected Cramer's V for levels, area under the ROC curve for numbers."""
    reason: str


class KGuess(TypedDict):
    """Numbers of components to try."""

    value: list[int]
    reason: str


class Suggestions(TypedDict):
    """Guesses for the data section of a goal spec."""

    patient: Guess
    label: LabelGuess
    timepoint: Guess
    timepoint_levels: list[str]
    source: Guess
    technology: Guess
    batch: Guess
    cell_type: Guess
    leak_columns: list[LeakGuess]
    counts: Guess
    """Where the raw counts lie, as `data.counts` names it."""
    k: KGuess
    warnings: list[str]
    """What a person must settle before the study can be planned."""
