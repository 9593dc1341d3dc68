"""The predictions of one method under one preprocess, out of folds in which the whole pipeline was fitted again."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stagewright.stages.classify.fold_prediction import FoldPrediction

__all__ = ["FoldArrays", "RefittedPredictions", "gathered"]

Place = tuple[int, int]
"""Repeat and fold."""


@dataclass(frozen=True, slots=True)
class FoldArrays:
    """What the pipeline that was fitted without one fold says of its cells.

    Attributes
    ----------
    decision
        Logits, shape (n_penalties, n_test, n_alphas): the fold's cells of the first patient, then of the next.
    gaps
        Of each patient's fits, shape (n_penalties, n_patients, n_alphas).
    converged
        The same shape, bool.
    """

    decision: NDArray[np.float64]
    gaps: NDArray[np.float64]
    converged: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class RefittedPredictions:
    """The predictions of each penalty and patient, by repeat and fold.

    Attributes
    ----------
    digest
        Over every prediction, for the key of what is made of them.
    """

    by_patient: Mapping[tuple[str, str], Mapping[Place, FoldPrediction]]
    digest: str


def gathered(
    penalties: Sequence[str],
    folds: Mapping[Place, FoldArrays],
    tested: Mapping[Place, Sequence[tuple[str, int]]],
) -> RefittedPredictions:
    """Sort the arrays of all folds by patient.

    Parameters
    ----------
    tested
        For each fold, its patients in the order of the arrays, and how many cells each has in it.
    """
    digest = hashlib.sha256()
    found: dict[tuple[str, str], dict[Place, FoldPrediction]] = {}
    for place, arrays in sorted(folds.items(), key=lambda item: item[0]):
        for array in (arrays.decision, arrays.gaps, arrays.converged):
            digest.update(f"{array.dtype.str} {array.shape}\n".encode())
            digest.update(np.ascontiguousarray(array).data)
        start = 0
        for number, (patient, n_cells) in enumerate(tested[place]):
            here = slice(start, start + n_cells)
            start += n_cells
            for at, penalty in enumerate(penalties):
                predicted = FoldPrediction(
                    arrays.decision[at, here], arrays.gaps[at, number], arrays.converged[at, number]
                )
                found.setdefault((penalty, patient), {})[place] = predicted
    return RefittedPredictions(found, digest.hexdigest())
