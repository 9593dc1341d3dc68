"""Faults of folds within which nothing can be told apart."""

import numpy as np
import pandas as pd

from stagewright.gates.left_out import left_out
from stagewright.gates.model_names import mode_of, model_names, with_model_names
from stagewright.gates.owed_units import grid
from stagewright.gates.places import oof_table
from stagewright.gates.proving.fault_entry import DoesNotApply
from stagewright.gates.proving.spoiled_step import SpoiledStep
from stagewright.state.plan1c_models import groups_of

__all__ = ["one_class_fold"]


def one_class_fold(step: SpoiledStep) -> None:
    """Test the positive cells of one fold in another one, so that the fold is left with negative cells only."""
    # Nothing is scored again: scores are over all cells of a repeat, whichever fold a cell is in.
    request = step.request
    stratified = [name for name in model_names(request) if _groups(step, name) is None]
    # The last cell, because the first is more often the best one, whose folds are compared with others.
    cells = [cell for cell in grid(request, left_out(step.context)) if step.has(oof_table(request, *cell))]
    if not stratified or not cells:
        raise DoesNotApply("no model of this step has stratified folds")
    model = stratified[0]

    def move(table: pd.DataFrame) -> pd.DataFrame:
        rows = (with_model_names(table)["penalty"].astype(str) == model).to_numpy()
        rows &= (table["repeat"] == table["repeat"].min()).to_numpy()
        if mode_of(request, model) in {None, "per_patient"}:
            rows &= (table["patient"] == table["patient"][rows].iloc[0]).to_numpy()
        folds = sorted(set(table["fold"][rows]))
        moved = rows & (table["fold"] == folds[0]).to_numpy() & table["label"].to_numpy(bool)
        return table.assign(fold=table["fold"].mask(np.asarray(moved), folds[-1]))

    step.parquet(oof_table(request, *cells[-1]), move)


def _groups(step: SpoiledStep, model: str) -> str | None:
    mode = mode_of(step.request, model) or "per_patient"  # which Plan 1b is
    return groups_of(step.request.study, mode, step.request.scope.patient)
