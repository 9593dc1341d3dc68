"""The technical decoy of Plan 1B: the label predicted from how a cell was measured, in the folds of the embeddings.

What a decoy predicts as well as an embedding does, the embedding need not have learnt from the biology.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stagewright.stages.files import save_csv, save_parquet
from stagewright.stages.plan1_embeddings import EmbeddedCohort
from stagewright.stages.plan1_folds import cross_validated_patient, split_patients
from stagewright.stages.plan1_tables import PatientCells, patients_of
from stagewright.stages.plan1b_tables import ScoredPatient, common_alpha, prediction_rows
from stagewright.stages.protocol import StageContext
from stagewright.state.layout import grid_folder
from stagewright.state.technical_columns import technical_columns

__all__ = ["DECOY", "technical_decoy", "technical_features"]

DECOY = "decoy"
"""Stands for the penalty in the table of predictions. It is ridge: there is nothing to select among few features."""
RIDGE = 0.0
LEVELS = 20


def technical_decoy(context: StageContext, cohort: EmbeddedCohort) -> float:
    """Predict the label out of fold from technical features alone; write predictions and a table, return the score.

    Patients, folds, repeats and alphas are those of the embeddings, and so is the choice of one alpha for all patients:
    the decoy is flattered as they are. Written are `decoy_oof.parquet`, with the columns of the other predictions, and
    `decoy.csv`, with a row for each patient.

    Parameters
    ----------
    cohort
        The cells of the grid; its scores are not looked at.

    Returns
    -------
    The median over patients of the AUC.

    Raises
    ------
    ValueError
        When no patient has enough cells of both classes.
    """
    request, study = context.request, context.request.study
    patients = patients_of(cohort, request.scope.patient, study.group)
    kept, _, _ = split_patients(patients, study, DECOY)
    alphas = np.asarray(study.alphas)

    def score(item: tuple[PatientCells, int]) -> ScoredPatient:
        features = technical_features(cohort, item[0].rows, technical_columns(request.scope))
        path = context.executor.call(cross_validated_patient, features, *item, alphas, study.repeats, RIDGE)
        return ScoredPatient(*item, path)

    scored = context.map(score, kept)
    at = common_alpha(scored)
    folder = grid_folder(request.checkpoint, request.stage)
    predictions = [prediction_rows(item, DECOY, at, cohort.obs.index) for item in scored]
    save_parquet(context.artifacts, folder / "decoy_oof.parquet", pd.concat(predictions, ignore_index=True))
    table = pd.DataFrame([_row(item, at) for item in scored])
    save_csv(context.artifacts, folder / "decoy.csv", table)
    return float(table["auc_mean"].median())


def technical_features(cohort: EmbeddedCohort, rows: NDArray[np.intp], columns: dict[str, str]) -> NDArray[np.float64]:
    """Return what is known of how a patient's cells were measured, shape (n, p).

    The logarithms of library size and of detected genes, log(1 + x); then, for each technical column that varies
    within the patient, whether a cell has each of its levels, the 20 most frequent ones at most, and among equally
    frequent ones the first by name. A patient's number of cells is the same for all of its cells, and tells nothing
    within it.
    """
    features = [np.log1p(cohort.depth.library_size[rows]), np.log1p(cohort.depth.detected_genes[rows])]
    for column in columns.values():
        levels = cohort.obs[column].iloc[rows].astype(str).reset_index(drop=True)
        counts = levels.value_counts().sort_index().sort_values(ascending=False, kind="stable")
        if len(counts) > 1:
            features += [(levels == level).to_numpy(np.float64) for level in counts.index[:LEVELS]]
    return np.column_stack(features).astype(np.float64)


def _row(item: ScoredPatient, at: int) -> dict[str, object]:
    path = item.path
    return {
        "patient": item.patient.name,
        "n_cells": len(item.patient.rows),
        "n_positive": path.metrics.n_positive,
        "n_negative": path.metrics.n_negative,
        "n_features": path.refit.path.coefs.shape[1],
        "alpha": float(path.alphas[at]),
        "auc_mean": float(path.auc_by_alpha[at]),
    }
