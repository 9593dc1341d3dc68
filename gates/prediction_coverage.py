"""Each scored cell is predicted exactly once in each repeat, with its own label."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import pandas as pd

from stagewright.gates.cohort_obs import labelled_cells
from stagewright.gates.finding import bounded
from stagewright.gates.left_out import left_out
from stagewright.gates.model_names import mode_of, model_names
from stagewright.gates.oof import read_oof
from stagewright.gates.owed_units import grid
from stagewright.gates.places import oof_table, patient_table
from stagewright.gates.protocol import Finding, GateContext
from stagewright.gates.result_rows import read_result_rows
from stagewright.state.plan1c_models import groups_of

__all__ = ["prediction_coverage"]

_finding = partial(Finding, gate="prediction_coverage")
WHY = (
    "A score over out-of-fold predictions is fair only if every cell was left out once in each repeat: a lost cell may "
    "be a difficult one, a repeated one counts twice."
)
AGAIN = "To pass: adjust, so that the step is executed again; if it comes back, the stage itself is wrong."


def prediction_coverage(context: GateContext) -> Iterator[Finding]:
    """Compare the out-of-fold predictions of Plan 1b or 1c with the cells in obs of `adata_with_dr.h5ad`.

    Measured are, of each patient that has a result and each penalty and repeat, the cells that have one of the two
    labels and are predicted never or more than once, or were predicted without being such a cell; predictions whose
    label is not the one in obs; the number of repeats against the request; and the number of folds against the request
    or the cells of the smaller class, whichever is less: a fold without a cell of each class scores nothing. The models
    of Plan 1c that train on several patients predict every cell, of patients without a score of their own too, and
    their folds are counted over all cells; grouped folds may be fewer, but never more.

    Notes
    -----
    Exact by construction of repeated cross-validation (each cell lies in one test fold), so no tolerance.
    """
    known = {entry.tag: labelled_cells(context, entry.tag) for entry in context.request.study.preprocess}
    for tag, method in grid(context.request, left_out(context)):
        cells = known[tag]
        table = read_oof(context.run / oof_table(context.request, tag, method))
        rows = read_result_rows(context.run / patient_table(context.request, tag, method))
        if cells is None or table is None or rows is None:
            continue
        name = f"{tag}/{method}"
        faults = [*_faults(context, name, cells, table, set(rows.rows))]
        yield from bounded(faults)
        if not faults:
            repeats = context.request.study.repeats
            yield _finding(
                subject=name,
                severity="pass",
                measured=f"{len(table)} predictions: {table['cell'].nunique()} cells, each once in {repeats} repeats",
                threshold="each scored cell exactly once in each repeat, with its label",
                reason=WHY,
            )


def _faults(
    context: GateContext, name: str, cells: pd.DataFrame, table: pd.DataFrame, scored: set[str]
) -> Iterator[Finding]:
    study = context.request.study
    known = cells.set_index("cell")
    label = known["positive"].reindex(table["cell"].astype(str))
    wrong = label.notna().to_numpy() & (label.eq(other=True).to_numpy() != table["label"].astype(bool).to_numpy())
    if wrong.any():
        yield _fail(name, f"{int(wrong.sum())} predictions with another label than obs", "each cell's own label")
    expected = known.groupby("patient", observed=True).indices
    for model in model_names(context.request):
        models = table[(table["penalty"] == model).to_numpy()]
        together = mode_of(context.request, model) in {"pooled", "grouped"}
        for patient in sorted(map(str, expected)) if together else sorted(scored):
            mine = models[(models["patient"] == patient).to_numpy()]
            subject = f"{name}/{model}: patient {patient}"
            wanted = known.index[expected.get(patient, [])]
            yield from _patient(subject, mine, wanted, study.repeats)
            if not together:
                positive = known[known["patient"] == patient]["positive"]
                yield from _folds(subject, mine, positive, study.folds, exact=not _grouped(context, model))
        if together:
            yield from _folds(
                f"{name}/{model}", models, known["positive"], study.folds, exact=not _grouped(context, model)
            )
        else:
            strangers = sorted({str(patient) for patient in models["patient"].unique()} - scored)
            for patient in strangers:
                measured = "predictions, but no row in metrics.csv"
                yield _fail(f"{name}/{model}: patient {patient}", measured, "patients with a result")


def _grouped(context: GateContext, model: str) -> bool:
    mode = mode_of(context.request, model) or "per_patient"  # which Plan 1b is
    return groups_of(context.request.study, mode, context.request.scope.patient) is not None


def _patient(subject: str, mine: pd.DataFrame, wanted: pd.Index, repeats: int) -> Iterator[Finding]:
    found = sorted(set(mine["repeat"]))
    if len(found) != repeats:
        yield _fail(subject, f"{len(found)} repeats", f"{repeats} repeats, as asked for")
        return
    never = twice = stranger = 0
    for _, one in mine.groupby("repeat"):
        times = one["cell"].astype(str).value_counts()
        asked = times.reindex(wanted, fill_value=0).to_numpy()
        never += int((asked == 0).sum())
        twice += int((asked > 1).sum())
        stranger += int(np.setdiff1d(times.index, wanted).size)
    if never or twice or stranger:
        measured = f"{never} cells never, {twice} more than once, {stranger} that are not the patient's labelled cells"
        yield _fail(subject, measured, f"each of {len(wanted)} cells exactly once in each of {repeats} repeats")


def _folds(subject: str, mine: pd.DataFrame, positive: pd.Series, asked: int, *, exact: bool) -> Iterator[Finding]:
    """Compare the folds of each repeat with those asked for, or with the smaller class if it has fewer cells."""
    feasible = min(asked, int(positive.sum()), int((~positive).sum()))
    found = sorted(set(mine.groupby("repeat")["fold"].nunique()))
    fits = found == [feasible] if exact else len(found) == 1 and 1 < found[0] <= feasible
    if found and not fits:
        wanted = f"{feasible} folds" if exact else f"2 to {feasible} folds"
        yield _fail(subject, f"{', '.join(map(str, found))} folds", f"{wanted} in each repeat")


def _fail(subject: str, measured: str, threshold: str) -> Finding:
    return _finding(subject=subject, severity="fail", measured=measured, threshold=threshold, reason=f"{WHY} {AGAIN}")
