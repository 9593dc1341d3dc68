"""Faults of grouped folds."""

import numpy as np
import pandas as pd

from stagewright.gates.cohort_obs import grouped_cells
from stagewright.gates.model_names import mode_of, model_names, with_model_names
from stagewright.gates.places import oof_table
from stagewright.gates.proving.fault_entry import DoesNotApply
from stagewright.gates.proving.faults.patients import cell_of
from stagewright.gates.proving.rescore import rescore
from stagewright.gates.proving.spoiled_step import SpoiledStep
from stagewright.state.plan1c_models import groups_of

__all__ = ["leaked_patient"]


def leaked_patient(step: SpoiledStep) -> None:
    """Let one cell of a group be tested in another fold than the rest of it, which are trained on there."""
    tag, method = cell_of(step)
    request = step.request
    grouped = ((name, _column(step, name)) for name in model_names(request))
    model, column = next(((name, found) for name, found in grouped if found is not None), (None, None))
    if model is None or column is None:
        raise DoesNotApply("no model of this step has grouped folds (classifier.modes [grouped], or cv.group)")
    group = grouped_cells(step.context, tag, column)

    def leak(table: pd.DataFrame) -> pd.DataFrame:
        mine = (with_model_names(table)["penalty"].astype(str) == model).to_numpy()
        mine &= (table["repeat"] == table["repeat"].min()).to_numpy()
        patient = table["patient"].astype(str).to_numpy()
        groups = table["cell"].astype(str).map({} if group is None else group).to_numpy()
        for row in np.flatnonzero(mine):
            same = mine & (patient == patient[row]) & (groups == groups[row])
            others = sorted(set(table["fold"][mine & (patient == patient[row])]) | set(table["fold"][mine]))
            elsewhere = [fold for fold in others if fold != table["fold"].iloc[row]]
            if same.sum() > 1 and elsewhere:
                return table.assign(fold=table["fold"].mask(np.arange(len(table)) == row, elsewhere[0]))
        raise DoesNotApply("no group has two cells")

    step.parquet(oof_table(request, tag, method), leak)
    rescore(step, tag, method)


def _column(step: SpoiledStep, model: str) -> str | None:
    mode = mode_of(step.request, model) or "per_patient"  # which Plan 1b is
    return groups_of(step.request.study, mode, step.request.scope.patient)
