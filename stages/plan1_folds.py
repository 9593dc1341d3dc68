"""Which patients of Plan 1B can be cross-validated, and which cells lie in which fold."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stagewright.stages.classify.folds import (
    FoldPlan,
    feasible_folds,
    repeatable_grouped_folds,
    repeated_grouped_folds,
    repeated_stratified_folds,
)
from stagewright.stages.classify.path_cross_validated import CrossValidatedPath, cross_validated_path
from stagewright.stages.plan1_tables import PatientCells
from stagewright.state.artifacts import Skipped
from stagewright.state.spec.effective import EffectiveStudy

__all__ = ["NEVER", "cross_validated_patient", "folds_of_cells", "folds_of_patient", "split_patients"]

NEVER = -1
"""Fold of a cell that is never left out."""


def cross_validated_patient(
    features: NDArray[np.float64],
    patient: PatientCells,
    n_folds: int,
    alphas: NDArray[np.float64],
    n_repeats: int,
    l1_ratio: float,
) -> CrossValidatedPath:
    """Cross-validate the path of one patient in its own folds; `features` are of its cells alone, shape (n, p)."""
    return cross_validated_path(
        features,
        patient.positive,
        alphas,
        n_folds=n_folds,
        n_repeats=n_repeats,
        seed=patient.seed,
        groups=patient.groups,
        l1_ratio=l1_ratio,
        keep_all_decisions=True,
    )


def split_patients(
    patients: Sequence[PatientCells], study: EffectiveStudy, where: str
) -> tuple[list[tuple[PatientCells, int]], list[Skipped], list[str]]:
    """Return the patients that can be cross-validated with their number of folds, and the others with the reason.

    Raises
    ------
    ValueError
        When there is no patient left.
    """
    kept, skipped, notes = [], [], []
    for patient in patients:
        plan = _plan(patient, study)
        if plan.n_folds == 0:
            skipped.append(Skipped(patient=patient.name, reason=plan.reason or "no folds", where=where))
            continue
        if plan.reason is not None:
            notes.append(f"{patient.name}: {plan.n_folds} folds instead of {study.folds} ({plan.reason})")
        kept.append((patient, plan.n_folds))
    if not kept:
        of = "cells" if study.group == "none" else f"{study.group} groups with cells"
        raise ValueError(f"no patient has enough {of} of both classes for two folds; see the plan's warnings")
    return kept, skipped, notes


def folds_of_patient(patient: PatientCells, n_folds: int, n_repeats: int) -> NDArray[np.int64]:
    """Return the fold of each of a patient's cells in each repeat, shape (n_repeats, n): the same in every scope."""
    if patient.groups is None:
        return repeated_stratified_folds(patient.positive, n_folds, n_repeats, patient.seed)
    return repeated_grouped_folds(patient.positive, patient.groups, n_folds, n_repeats, patient.seed)


def folds_of_cells(kept: Sequence[tuple[PatientCells, int]], n_cells: int, n_repeats: int) -> NDArray[np.int64]:
    """Return the fold of each cell of the cohort in each repeat, shape (n_repeats, n_cells); `NEVER` where it has none.

    Fold f of all patients is left out together. A patient with fewer folds than others has no cell in the last ones.
    """
    folds = np.full((n_repeats, n_cells), NEVER, dtype=np.int64)
    for patient, n_folds in kept:
        folds[:, patient.rows] = folds_of_patient(patient, n_folds, n_repeats)
    return folds


def _plan(patient: PatientCells, study: EffectiveStudy) -> FoldPlan:
    if patient.groups is not None:
        return repeatable_grouped_folds(patient.positive, patient.groups, study.folds, study.repeats, patient.seed)
    n_positive = int(patient.positive.sum())
    return feasible_folds(n_positive, len(patient.rows) - n_positive, study.folds)
