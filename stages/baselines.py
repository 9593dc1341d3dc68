"""What trivial predictions reach, patient by patient: a score means little without what stands beside it."""

from collections.abc import Collection, Iterable

import numpy as np
import pandas as pd

from stagewright.stages.classify.metrics import roc_auc
from stagewright.stages.plan1_embeddings import EmbeddedCohort
from stagewright.stages.plan1_tables import PatientCells, SummaryRow, patients_of
from stagewright.state.artifacts import Skipped

__all__ = ["baseline_columns", "baselines", "scored_patients"]

NO_SKILL_AUC = 0.5


def baselines(cohort: EmbeddedCohort, patient_column: str) -> pd.DataFrame:
    """Return one row for each patient.

    Columns: `prevalence`, the share of positive cells, which is the average precision without skill;
    `majority_accuracy`, the accuracy of calling every cell like the majority; `auc_no_skill`; and `auc_library_size`
    and `auc_detected_genes`, the AUC of the depth alone as it is: below 0.5 positive cells are the shallower ones.
    AUCs are NaN for a patient with a single class.
    """
    return pd.DataFrame([_row(cohort, patient) for patient in patients_of(cohort, patient_column)])


def baseline_columns(table: pd.DataFrame, patients: Collection[str]) -> SummaryRow:
    """Return the medians over the scored patients, to stand in a summary beside their scores.

    The AUC of the depth is taken in whichever direction is above 0.5 in each patient: the most that depth could say.
    """
    mine = table[table["patient"].isin(patients)]
    return {
        "auc_no_skill": NO_SKILL_AUC,
        "average_precision_no_skill_median": float(mine["prevalence"].median()),
        "accuracy_majority_median": float(mine["majority_accuracy"].median()),
        "auc_library_size_median": _either_way(mine["auc_library_size"]),
        "auc_detected_genes_median": _either_way(mine["auc_detected_genes"]),
    }


def scored_patients(table: pd.DataFrame, skipped: Iterable[Skipped], where: str) -> list[str]:
    """Return the patients of `baselines` that a configuration, e.g. ``hvg_3000/fa``, did not skip."""
    left_out = {item.patient for item in skipped if item.where == where}
    return [name for name in table["patient"] if name not in left_out]


def _either_way(auc: pd.Series) -> float:
    return float((NO_SKILL_AUC + (auc - NO_SKILL_AUC).abs()).median())


def _row(cohort: EmbeddedCohort, patient: PatientCells) -> dict[str, object]:
    n, n_positive = len(patient.rows), int(patient.positive.sum())
    depth = np.column_stack([cohort.depth.library_size, cohort.depth.detected_genes])[patient.rows]
    by_size, by_genes = roc_auc(depth, patient.positive)
    return {
        "patient": patient.name,
        "n_cells": n,
        "n_positive": n_positive,
        "n_negative": n - n_positive,
        "prevalence": n_positive / n,
        "majority_accuracy": max(n_positive, n - n_positive) / n,
        "auc_no_skill": NO_SKILL_AUC,
        "auc_library_size": by_size,
        "auc_detected_genes": by_genes,
    }
