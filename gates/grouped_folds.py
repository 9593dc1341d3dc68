"""No group of cells lies on both sides of a fold where the folds are to be grouped."""

from collections.abc import Iterator
from functools import partial

import pandas as pd

from stagewright.gates.cohort_obs import grouped_cells
from stagewright.gates.finding import bounded
from stagewright.gates.left_out import left_out
from stagewright.gates.model_names import mode_of, model_names
from stagewright.gates.oof import read_oof
from stagewright.gates.owed_units import grid
from stagewright.gates.places import oof_table
from stagewright.gates.protocol import Finding, GateContext
from stagewright.state.plan1c_models import groups_of

__all__ = ["grouped_folds"]

_finding = partial(Finding, gate="grouped_folds")
WHY = (
    "A patient's cells resemble each other: predicted by a model that was trained on some of them, they score higher "
    "than those of a new patient would."
)
AGAIN = "To pass: adjust, so that the step is executed again; if it comes back, the stage itself is wrong."
THRESHOLD = "every cell of a group in one fold of each repeat"


def grouped_folds(context: GateContext) -> Iterator[Finding]:
    """Look in the out-of-fold predictions for groups whose cells lie in more than one fold of a repeat.

    Groups are the patients for the models of mode `grouped`, and those of the column `classifier.cv.group` where the
    spec names one. Measured is their number, from obs of `adata_with_dr.h5ad` and the folds of the predictions.

    Notes
    -----
    None is allowed: the split is made so. Models whose folds need not be grouped are passed with a word about it,
    because their scores are no estimate for new patients.
    """
    request = context.request
    names = model_names(request)
    columns = {name: _group(context, name) for name in names}
    if not any(columns.values()):
        yield _finding(
            subject=request.step,
            severity="pass",
            measured="no model is to have grouped folds: cells of a patient lie on both sides of each fold",
            threshold=THRESHOLD,
            reason=f"{WHY} Scores for new patients: classifier.modes [grouped].",
        )
        return
    for tag, method in grid(request, left_out(context)):
        table = read_oof(context.run / oof_table(request, tag, method))
        if table is None:
            continue
        for name in names:
            column = columns[name]
            group = None if column is None else grouped_cells(context, tag, column)
            if group is not None:
                models = table[(table["penalty"] == name).to_numpy()]
                within = _mode(context, name) == "per_patient"
                yield from _model(f"{tag}/{method}/{name}", models, group, within_patients=within)


def _mode(context: GateContext, name: str) -> str:
    return mode_of(context.request, name) or "per_patient"  # which Plan 1b is


def _group(context: GateContext, name: str) -> str | None:
    return groups_of(context.request.study, _mode(context, name), context.request.scope.patient)


def _model(subject: str, table: pd.DataFrame, group: pd.Series, *, within_patients: bool) -> Iterator[Finding]:
    """Judge one model by the group of each cell; within patients the folds of one say nothing of another's."""
    cell = table["cell"]
    of_level = group.reindex(cell.cat.categories.astype(str)).to_numpy(dtype=object)
    groups = pd.Series(of_level[cell.cat.codes.to_numpy()], index=table.index)
    if within_patients:
        groups = table["patient"].astype(str) + " / " + groups.astype(str)
    folds = table["fold"].groupby([groups, table["repeat"]]).nunique()
    split = sorted({str(name) for name, _ in folds.index[folds.to_numpy() > 1]})
    yield from bounded(
        _finding(
            subject=f"{subject}: {name}",
            severity="fail",
            measured="cells in more than one fold of a repeat",
            threshold=THRESHOLD,
            reason=f"{WHY} {AGAIN}",
        )
        for name in split
    )
    if not split:
        n_groups = groups.nunique()
        yield _finding(
            subject=subject,
            severity="pass",
            measured=f"{n_groups} groups, none in two folds",
            threshold=THRESHOLD,
            reason=WHY,
        )
