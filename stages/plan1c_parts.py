"""How Plan 1C splits its cells: which are trained and tested together, in which folds, and which patients are scored.

- `pooled`: the cells of all patients together. Folds are stratified by patient and class, or, where the spec groups
  cells (`classifier.cv.group`), groups stay whole.
- `grouped`: the same with the patients as groups, so that each patient is predicted by models of other patients.
- `per_patient`: each patient alone, in the folds of Plan 1B.
"""

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stagewright.stages.classify.folds import (
    FoldPlan,
    feasible_folds,
    feasible_grouped_folds,
    repeated_grouped_folds,
    repeated_stratified_folds,
)
from stagewright.stages.classify.stratum_folds import repeated_stratum_folds
from stagewright.stages.plan1_embeddings import EmbeddedCohort
from stagewright.stages.plan1_tables import PatientCells, patients_of
from stagewright.stages.unfit_setting import UnfitSetting
from stagewright.state.artifacts import Skipped
from stagewright.state.plan1c_models import groups_of
from stagewright.state.spec.effective import EffectiveStudy

__all__ = ["ALL", "Part", "Split", "split"]

ALL = "(all)"
"""Stands in the tables for the cells of all patients together."""
TOGETHER_SEED = zlib.crc32(b"cells of all patients")
FEWEST = 2
ONLY_TOGETHER = "trained on and predicted, no AUC of its own"


@dataclass(frozen=True, slots=True)
class Part:
    """Cells that are trained and tested together.

    Attributes
    ----------
    name
        The patient, or `ALL`.
    rows
        Positions among the cohort's cells, shape (n,).
    folds
        Fold of each of them, shape (n_repeats, n).
    scored
        The patients whose predictions are measured on their own: each with the positions of its cells in `rows`.
    """

    name: str
    rows: NDArray[np.intp]
    folds: NDArray[np.int64]
    scored: tuple[tuple[PatientCells, NDArray[np.intp]], ...]

    @property
    def n_folds(self) -> int:
        """Number of folds."""
        return int(self.folds.max()) + 1


@dataclass(frozen=True, slots=True)
class Split:
    """The parts of one mode, the patients without a score of their own, and what a reader should know."""

    parts: tuple[Part, ...]
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...] = ()


def split(cohort: EmbeddedCohort, study: EffectiveStudy, patient_column: str, mode: str, where: str) -> Split:
    """Return the parts of one mode; none where no cells can be cross-validated, with the reason for every patient.

    Parameters
    ----------
    where
        The configuration, e.g. ``hvg_3000/fa``, to name in what is skipped.
    """
    patients = patients_of(cohort, patient_column)
    column = groups_of(study, mode, patient_column)
    groups = None if column is None else _groups(cohort, column)
    place = f"{where}/{mode}"
    if mode == "per_patient":
        return _one_by_one(patients, groups, study, place)
    return _together(patients, cohort.positive, groups, study, place)


def _together(
    patients: list[PatientCells],
    positive: NDArray[np.bool_],
    groups: NDArray[np.str_] | None,
    study: EffectiveStudy,
    place: str,
) -> Split:
    names = np.empty(positive.size, dtype=np.int64)
    for number, patient in enumerate(patients):
        names[patient.rows] = number
    skipped = [
        Skipped(patient=item.name, reason=f"{item.single_class}; {ONLY_TOGETHER}", where=place)
        for item in patients
        if item.single_class
    ]
    scored = tuple((item, item.rows) for item in patients if not item.single_class)
    n_positive = int(positive.sum())
    folds = None
    if groups is None:
        plan = feasible_folds(n_positive, positive.size - n_positive, study.folds)
        if plan.n_folds:
            folds = repeated_stratum_folds(positive, names, plan.n_folds, study.repeats, TOGETHER_SEED)
    else:
        plan, folds = _grouped(positive, groups, study, TOGETHER_SEED)
    if folds is None or not scored:
        reason = plan.reason or "no patient has cells of both classes"
        return Split((), tuple(Skipped(patient=item.name, reason=reason, where=place) for item in patients))
    notes = (f"{place}: {plan.n_folds} folds instead of {study.folds} ({plan.reason})",) if plan.reason else ()
    part = Part(ALL, np.arange(positive.size), folds, scored)
    return Split((part,), tuple(skipped), notes)


def _one_by_one(
    patients: list[PatientCells], groups: NDArray[np.str_] | None, study: EffectiveStudy, place: str
) -> Split:
    parts: list[Part] = []
    skipped: list[Skipped] = []
    notes: list[str] = []
    for patient in patients:
        n_positive = int(patient.positive.sum())
        if groups is None:
            plan = feasible_folds(n_positive, len(patient.rows) - n_positive, study.folds)
            folds = None
            if plan.n_folds:
                folds = repeated_stratified_folds(patient.positive, plan.n_folds, study.repeats, patient.seed)
        else:
            plan, folds = _grouped(patient.positive, groups[patient.rows], study, patient.seed)
        if folds is None:
            skipped.append(Skipped(patient=patient.name, reason=plan.reason or "no folds", where=place))
            continue
        if plan.reason is not None:
            notes.append(f"{place}: {patient.name}: {plan.n_folds} folds instead of {study.folds} ({plan.reason})")
        parts.append(Part(patient.name, patient.rows, folds, ((patient, np.arange(len(patient.rows))),)))
    return Split(tuple(parts), tuple(skipped), tuple(notes))


def _grouped(
    positive: NDArray[np.bool_], groups: NDArray[np.str_], study: EffectiveStudy, seed: int
) -> tuple[FoldPlan, NDArray[np.int64] | None]:
    """Return the most folds, up to those wanted, whose training parts hold both classes in every repeat."""
    plan = feasible_grouped_folds(positive, groups, study.folds)
    refused = ""
    for n_folds in range(plan.n_folds, FEWEST - 1, -1):
        try:
            folds = repeated_grouped_folds(positive, groups, n_folds, study.repeats, seed)
        except ValueError as error:  # the greedy assignment left a training part without a class
            refused = str(error)
            continue
        if n_folds == plan.n_folds:
            return plan, folds
        return FoldPlan(n_folds, f"with more folds a training part lacks a class: {refused}"), folds
    return FoldPlan(0, plan.reason or "no split of the groups leaves both classes to train on"), None


def _groups(cohort: EmbeddedCohort, column: str) -> NDArray[np.str_]:
    values = cohort.obs[column]
    if values.isna().any():
        raise UnfitSetting(
            f"classifier.cv.group: {int(values.isna().sum())} cells have no {column}, so nobody can say with which "
            "they belong; fill the column, or filter these cells out"
        )
    return values.astype(str).to_numpy(dtype=str)
