"""Where the files lie that several gates read. Light to import."""

from pathlib import PurePosixPath

from stagewright.state.layout import (
    TWIN,
    analysis,
    grid_cell,
    null_twin_summary,
    permuted_cell,
    permuted_grid_folder,
    plan1c_folder,
    plan1c_twin_summary,
    preprocess_folder,
    search_cell,
    search_folder,
)
from stagewright.state.spec.goal import Checkpoint
from stagewright.state.step_request import StepRequest

__all__ = [
    "cell_table",
    "coefficients_table",
    "controls_summary",
    "decoy_oof",
    "decoy_table",
    "embedding_file",
    "grid_summary",
    "oof_table",
    "patient_table",
    "permuted_oof",
    "permuted_summary",
    "plan1b_summary",
    "plan1c_summary",
    "search_aucs",
    "search_configurations",
    "search_labellings",
    "strata_table",
    "twin_curves",
    "twin_oof",
    "twin_summary",
]


def embedding_file(checkpoint: Checkpoint, tag: str) -> PurePosixPath:
    """Return where the cells of one preprocess lie with their embeddings."""
    return preprocess_folder(checkpoint, tag) / "adata_with_dr.h5ad"


def cell_table(checkpoint: Checkpoint) -> PurePosixPath:
    """Return where Plan 0 lists its cells."""
    return analysis(checkpoint) / "plan0" / "cells.csv"


def patient_table(request: StepRequest, tag: str, method: str) -> PurePosixPath:
    """Return where a classification step writes one row for each patient, penalty and alpha."""
    name = "metrics_no_cv.csv" if request.stage == "plan1a" else "metrics.csv"
    return grid_cell(request.checkpoint, request.stage, tag, method) / name


def coefficients_table(request: StepRequest, tag: str, method: str) -> PurePosixPath:
    """Return where a classification step writes the coefficients of its models."""
    name = "coefs_no_cv.csv" if request.stage == "plan1a" else "coefs.csv"
    return grid_cell(request.checkpoint, request.stage, tag, method) / name


def oof_table(request: StepRequest, tag: str, method: str) -> PurePosixPath:
    """Return where Plan 1b and 1c write their out-of-fold predictions."""
    return grid_cell(request.checkpoint, request.stage, tag, method) / "oof_predictions.parquet"


def plan1b_summary(checkpoint: Checkpoint) -> PurePosixPath:
    """Return where Plan 1b writes one row for each preprocess, method and penalty."""
    return analysis(checkpoint) / "classification_grid" / "plan1b_summary.csv"


def plan1c_summary(checkpoint: Checkpoint) -> PurePosixPath:
    """Return where Plan 1c writes one row for each preprocess, method and model."""
    return plan1c_folder(checkpoint) / "plan1c_summary.csv"


def grid_summary(request: StepRequest) -> PurePosixPath:
    """Return the summary of Plan 1b or 1c."""
    return (plan1c_summary if request.stage == "plan1c" else plan1b_summary)(request.checkpoint)


def decoy_oof(checkpoint: Checkpoint) -> PurePosixPath:
    """Return where Plan 1b writes the out-of-fold predictions of its technical decoy."""
    return analysis(checkpoint) / "classification_grid" / "decoy_oof.parquet"


def decoy_table(checkpoint: Checkpoint) -> PurePosixPath:
    """Return where Plan 1b writes one row for each patient of its technical decoy."""
    return analysis(checkpoint) / "classification_grid" / "decoy.csv"


def controls_summary(checkpoint: Checkpoint) -> PurePosixPath:
    """Return where Plan 2 writes one row for each mirrored stage, preprocess, method and penalty."""
    return analysis(checkpoint) / "plan2" / "negative_controls_summary.csv"


def strata_table(checkpoint: Checkpoint) -> PurePosixPath:
    """Return where Plan 2 lists the strata within which it permutes labels."""
    return analysis(checkpoint) / "plan2" / "strata.csv"


def permuted_summary(checkpoint: Checkpoint, number: int, stage: str) -> PurePosixPath:
    """Return where Plan 2 writes a stage's summary under one permutation of the labels."""
    return permuted_grid_folder(checkpoint, number, stage) / f"{stage}_summary.csv"


def permuted_oof(checkpoint: Checkpoint, number: int, stage: str, tag: str, method: str) -> PurePosixPath:
    """Return where Plan 2 writes the out-of-fold predictions of Plan 1b or 1c under one permutation of the labels."""
    return permuted_cell(checkpoint, number, stage, tag, method) / "oof_predictions.parquet"


def twin_oof(checkpoint: Checkpoint, stage: str, tag: str, method: str) -> PurePosixPath:
    """Return where Plan 1b or 1c writes the out-of-fold predictions of its null twin."""
    return permuted_oof(checkpoint, TWIN, stage, tag, method)


def twin_curves(checkpoint: Checkpoint, tag: str, method: str) -> PurePosixPath:
    """Return where Plan 1b writes the AUC within strata of its null twin, by patient and alpha."""
    return twin_oof(checkpoint, "plan1b", tag, method).with_name("auc_by_alpha.csv")


def twin_summary(request: StepRequest) -> PurePosixPath:
    """Return the summary of the null twin of Plan 1b or 1c."""
    return (plan1c_twin_summary if request.stage == "plan1c" else null_twin_summary)(request.checkpoint)


def search_aucs(checkpoint: Checkpoint, tag: str, method: str) -> PurePosixPath:
    """Return where Plan 1b writes the AUC within strata of each patient, labelling and alpha."""
    return search_cell(checkpoint, tag, method) / "auc_by_labelling.parquet"


def search_labellings(checkpoint: Checkpoint) -> PurePosixPath:
    """Return where Plan 1b writes the best score of each labelling."""
    return search_folder(checkpoint) / "labellings.csv"


def search_configurations(checkpoint: Checkpoint) -> PurePosixPath:
    """Return where Plan 1b writes what each configuration scores beside the maxima of the permuted labellings."""
    return search_folder(checkpoint) / "configurations.csv"
