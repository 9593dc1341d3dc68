"""What the tables of Plan 1A and 1B have in common: patients, coefficients, the best configuration, trials."""

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import JsonValue

from stagewright.stages.classify.path_in_sample import InSamplePath
from stagewright.stages.plan1_embeddings import EmbeddedCohort
from stagewright.stages.unfit_setting import UnfitSetting
from stagewright.state.plan1c_models import penalties_of
from stagewright.state.spec.effective import EffectiveStudy

__all__ = [
    "METRICS",
    "PatientCells",
    "SummaryRow",
    "best_row",
    "coefficients",
    "configurations",
    "eligible",
    "l1_ratio_of",
    "patients_of",
    "scores",
    "supervised_notes",
    "trials",
    "unsupervised",
]

METRICS = (
    "average_precision",
    "balanced_accuracy",
    "recall_positive",
    "recall_negative",
    "precision_positive",
    "precision_negative",
    "brier",
    "log_loss",
    "calibration_error",
)
"""The metrics beside ROC AUC that the tables of both stages hold."""

SummaryRow: TypeAlias = dict[str, "str | int | float | bool"]
"""One configuration and penalty in a stage's summary table."""


def l1_ratio_of(study: EffectiveStudy, penalty: str) -> float:
    """Return the share of the L1 part of a penalty in Plan 1A and 1B: of the elastic net, the first that is named."""
    return penalties_of((penalty,), study.l1_ratios[:1])[penalty]


@dataclass(frozen=True, slots=True)
class PatientCells:
    """One patient's cells.

    Attributes
    ----------
    rows
        Positions among the cohort's cells, shape (n,).
    positive
        Class of each of them, shape (n,).
    groups
        Group of each of them that may lie in one fold only, shape (n,); None where cells are split one by one.
    """

    name: str
    rows: NDArray[np.intp]
    positive: NDArray[np.bool_]
    groups: NDArray[np.object_] | None = None

    @property
    def single_class(self) -> str | None:
        """The reason why no classifier can be fitted, or None."""
        n_positive = int(self.positive.sum())
        if n_positive == 0:
            return f"single class: no positive cell among {len(self.rows)}"
        if n_positive == len(self.rows):
            return f"single class: no negative cell among {len(self.rows)}"
        return None

    @property
    def seed(self) -> int:
        """Seed of this patient's folds: the same in every configuration, so that their scores can be compared."""
        return zlib.crc32(self.name.encode())


def patients_of(cohort: EmbeddedCohort, column: str, group: str = "none") -> list[PatientCells]:
    """Return the patients in the order of their names; `group` is the column of groups, or none.

    Raises
    ------
    ValueError
        Some cells have no group, so that nobody knows which others have to lie in their fold.
    """
    grouped = None
    if group != "none":
        missing = int(cohort.obs[group].isna().sum())
        if missing:
            raise UnfitSetting(
                f"classifier.cv.group: {missing:,} cells have no value in {group!r}, so that their group is unknown; "
                "drop them with data.filters, or give them one in the file"
            )
        grouped = cohort.obs[group].astype(str).to_numpy(dtype=object)
    names = cohort.obs[column].astype(str)
    groups = names.groupby(names, observed=True).indices
    rows_of = {str(name): np.asarray(rows, dtype=np.intp) for name, rows in groups.items()}
    return [
        PatientCells(name, rows, cohort.positive[rows], None if grouped is None else grouped[rows])
        for name, rows in sorted(rows_of.items())
    ]


def coefficients(patient: str, penalty: str, path: InSamplePath) -> pd.DataFrame:
    """Return one row for each alpha: intercept and coefficients per standard deviation of each component."""
    fitted = path.path
    columns = {f"component_{number + 1}": column for number, column in enumerate(fitted.coefs.T)}
    named = {"patient": patient, "penalty": penalty, "alpha": fitted.alphas, "intercept": fitted.intercepts}
    return pd.DataFrame(named | columns)


def best_row(rows: Sequence[SummaryRow], score: str) -> SummaryRow:
    """Return the row with the highest score; the first in the order of the grid among equals."""
    return max(rows, key=lambda row: float(row[score]))


def unsupervised(rows: Sequence[SummaryRow]) -> list[SummaryRow]:
    """Return the rows whose genes were chosen without the label; all of them when there is no such row."""
    return [row for row in rows if not row["supervised"]] or [*rows]


def eligible(rows: Sequence[SummaryRow], scope: str) -> list[SummaryRow]:
    """Return the rows that may be the best: all where the label chose genes inside each training fold only."""
    return [*rows] if scope == "pipeline" else unsupervised(rows)


def supervised_notes(rows: Iterable[SummaryRow]) -> list[str]:
    """Return a note for each preprocess that chose its genes by the label."""
    tags = dict.fromkeys(str(row["preprocess"]) for row in rows if row["supervised"])
    return [f"{tag} chose its genes by the label of all cells: its scores are optimistic" for tag in tags]


def configurations(rows: Iterable[SummaryRow]) -> tuple[str, ...]:
    """Return the name of each scored configuration, e.g. ``hvg_3000/nmf/k_20``, each once."""
    return tuple(dict.fromkeys(f"{row['preprocess']}/{row['method']}/k_{row['k']}" for row in rows))


def scores(stage: str, rows: Iterable[SummaryRow], score: str, name: str) -> dict[str, float]:
    """Return the score of each row as a metric, e.g. ``plan1b.hvg_3000.nmf.l1.auc``."""
    return {f"{stage}.{row['preprocess']}.{row['method']}.{row['penalty']}.{name}": float(row[score]) for row in rows}


def trials(rows: Iterable[SummaryRow], score: str) -> tuple[dict[str, JsonValue], ...]:
    """Return every scored configuration with its score, for the table of all that was tried."""
    named = ("preprocess", "supervised", "method", "k", "penalty", "alpha")
    found = []
    for row in rows:
        trial: dict[str, JsonValue] = {name: row[name] for name in named}
        found.append(trial | {"metric": score, "value": round(float(row[score]), 6)})
    return tuple(found)
