"""The name of a model in the tables of a classification stage: its penalty, in Plan 1c with mode and downsampling."""

import numpy as np
import pandas as pd

from stagewright.state.plan1c_models import models_of
from stagewright.state.step_request import StepRequest

__all__ = ["MODEL", "mode_of", "model_names", "with_model_names"]

MODEL = ("mode", "downsampling", "penalty")
"""The columns that name a model of Plan 1c, in the order of its name."""


def model_names(request: StepRequest) -> tuple[str, ...]:
    """Return the models that a step owes on each embedding, e.g. ``l1``, or ``pooled.none.l1`` in Plan 1c."""
    if request.stage == "plan1c":
        return tuple(model.name for model in models_of(request.study))
    return request.study.penalties


def mode_of(request: StepRequest, model: str) -> str | None:
    """Return the mode of a model of Plan 1c; None for a model of another stage."""
    return model.partition(".")[0] if request.stage == "plan1c" else None


def with_model_names(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with the whole name of each row's model as its `penalty`, where more than that names it."""
    if not set(MODEL) <= set(table.columns):
        return table
    coded = [pd.Categorical(table[name]) for name in MODEL]
    places = np.zeros(len(table), dtype=np.int64)
    for column in coded:
        places = places * (len(column.categories) + 1) + column.codes + 1
    first, codes = np.unique(places, return_index=True, return_inverse=True)[1:]
    levels = pd.Index([".".join(str(column[row]) for column in coded) for row in first])
    return table.drop(columns=[*MODEL[:2]]).assign(penalty=pd.Categorical.from_codes(codes, categories=levels))
