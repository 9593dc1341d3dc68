"""Read which results a classification table holds: for each patient its penalties, alphas and class counts."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from stagewright.gates.model_names import with_model_names
from stagewright.gates.tables import numbers, read_csv

__all__ = ["PatientRows", "ResultRows", "alpha_key", "alpha_keys", "read_result_rows"]

COLUMNS = ("patient", "penalty", "alpha", "k", "n_positive", "n_negative")


@dataclass(slots=True)
class PatientRows:
    """The rows of one patient.

    Attributes
    ----------
    cells
        Penalty and alpha of each row; a repeated row is there twice.
    counts
        The distinct numbers of positive and negative cells.
    """

    cells: list[tuple[str, str]] = field(default_factory=list)
    counts: set[tuple[float, float]] = field(default_factory=set)


@dataclass(slots=True)
class ResultRows:
    """The rows of one configuration by patient, and the distinct K that they name."""

    rows: dict[str, PatientRows] = field(default_factory=dict)
    ks: set[float] = field(default_factory=set)


def alpha_key(alpha: float) -> str:
    """Return an alpha as text that does not depend on how many digits a table was written with.

    >>> alpha_key(0.00010000000000000002) == alpha_key(1e-4)
    True
    """
    return f"{alpha:.6g}"


def alpha_keys(alphas: Iterable[float]) -> tuple[str, ...]:
    """Return the keys of several alphas."""
    return tuple(alpha_key(alpha) for alpha in alphas)


def read_result_rows(path: Path) -> ResultRows | None:
    """Return the results of one configuration, or None when `promised_files` has reported its table."""
    table = read_csv(path, COLUMNS)
    if table is None:
        return None
    table = with_model_names(table)
    found = ResultRows(ks=set(numbers(table["k"])))
    alphas, positives, negatives = (numbers(table[name]) for name in ("alpha", "n_positive", "n_negative"))
    for patient, penalty, alpha, positive, negative in zip(
        table["patient"], table["penalty"], alphas, positives, negatives, strict=True
    ):
        rows = found.rows.setdefault(patient, PatientRows())
        rows.cells.append((penalty, alpha_key(alpha)))
        rows.counts.add((float(positive), float(negative)))
    return found
