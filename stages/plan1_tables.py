"""What the tables of Plan 1A and 1B have in common: patients, coefficients, the best configuration, trials."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import JsonValue

from stagewright.stages.classify.path_in_sample import InSamplePath
from stagewright.stages.plan1_embeddings import EmbeddedCohort

__all__ = ["L1_RATIO", "PatientCells", "best_row", "coefficients", "patients_of", "trials"]

L1_RATIO: Mapping[str, float] = MappingProxyType({"l1": 1.0, "l2": 0.0, "elasticnet": 0.5})


@dataclass(frozen=True, slots=True)
class PatientCells:
    """One patient's cells.

    Attributes
    ----------
    rows
        Positions among the cohort's cells, shape (n,).
    positive
        Class of each of them, shape (n,).
    """

    name: str
    rows: NDArray[np.intp]
    positive: NDArray[np.bool_]

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


def patients_of(cohort: EmbeddedCohort, column: str) -> list[PatientCells]:
    """Return the patients in the order of their names."""
    names = cohort.obs[column].astype(str)
    groups = names.groupby(names, observed=True).indices
    return [PatientCells(name, rows, cohort.positive[rows]) for name, rows in sorted(groups.items())]


def coefficients(patient: str, penalty: str, path: InSamplePath) -> pd.DataFrame:
    """Return one row for each alpha: intercept and coefficients per standard deviation of each component."""
    fitted = path.path
    table = pd.DataFrame(fitted.coefs, columns=[f"component_{number + 1}" for number in range(fitted.coefs.shape[1])])
    for place, (name, values) in enumerate(
        (("patient", patient), ("penalty", penalty), ("alpha", fitted.alphas), ("intercept", fitted.intercepts)),
    ):
        table.insert(place, name, values)
    return table


def best_row(table: pd.DataFrame, score: str) -> dict[str, object]:
    """Return the row with the highest score; the first in the order of the grid among equals."""
    return {str(name): value for name, value in table.loc[table[score].idxmax()].to_dict().items()}


def trials(table: pd.DataFrame, score: str) -> tuple[dict[str, JsonValue], ...]:
    """Return every scored configuration, for the table of all that was tried."""
    return tuple(
        {
            "preprocess": str(row["preprocess"]),
            "method": str(row["method"]),
            "k": int(row["k"]),
            "penalty": str(row["penalty"]),
            "alpha": float(row["alpha"]),
            "metric": score,
            "value": round(float(row[score]), 6),
        }
        for row in table.to_dict("records")
    )
