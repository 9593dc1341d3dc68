"""The best embedding tells the classes apart better than how the cells were measured does."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import pandas as pd

from stagewright.gates.catalogue import threshold
from stagewright.gates.cohort_obs import labelled_cells
from stagewright.gates.finding import bounded
from stagewright.gates.oof import read_oof
from stagewright.gates.oof_auc import roc_auc_by_repeat
from stagewright.gates.paired_interval import paired_interval
from stagewright.gates.places import decoy_oof, decoy_table, embedding_file, grid_summary, oof_table
from stagewright.gates.protocol import Finding, GateContext
from stagewright.gates.tables import numbers, read_csv
from stagewright.gates.technical_features import decoy_aucs, read_technical
from stagewright.state.records import Verdict
from stagewright.state.technical_columns import technical_columns

__all__ = ["METRIC", "judged", "technical_decoy"]

_finding = partial(Finding, gate="technical_decoy")
TOLERANCE = 1e-6
REFITTED = 0.01
METRIC = "plan1b.decoy.auc"
DECOY = "decoy_oof.parquet"
WHY = (
    "Depth, batch and time point can tell the classes apart without any biology; what they reach, an embedding need "
    "not have learnt from the cells' state."
)
REMEDY = (
    "Do not read the score as biology before the technical cause is known. To pass: balance or filter the cells so "
    "that depth and batches do not follow the label, or take more patients."
)
AGAIN = "To pass: adjust, so that the step is executed again; if it comes back, the stage itself is wrong."


def technical_decoy(context: GateContext) -> Iterator[Finding]:
    """Compare the best configuration of Plan 1b with its technical decoy, patient by patient.

    The decoy predicts the label from the logarithms of library size and detected genes and from the levels of the
    technical columns (`state/technical_columns.py`), by ridge logistic regression in the same folds. Measured are,
    from the predictions of both, each patient's AUC, mean over repeats; the median over patients of their difference;
    and its 95 % interval, by a paired bootstrap over patients. The decoy's predictions have to be of the same cells
    and folds as those of the best configuration, with the labels of obs; `decoy.csv` and `plan1b.decoy.auc` have to
    follow from them; and fits of the same features in the folds of the first repeat have to give the same AUC within
    0.01, so that the decoy is not a weaker one than promised. The best configuration is the one with the highest median
    AUC in the summary, those whose genes were chosen by the label standing back.

    Notes
    -----
    With the default bound of 0 it is a failure when the median is not above the bound and nor is the upper end of the
    interval: the decoy is as good or better, surely. When only the lower end is not, it is a warning, as few patients
    have wide intervals, and library size may itself follow from the biology (blasts are larger cells). A bound that
    the spec sets is one that the lower end has to exceed, or the step fails. With one patient there is no interval,
    and never more than a warning. A patient's number of cells is no feature: within a patient it is constant.
    """
    request = context.request
    decoy = read_oof(context.run / decoy_oof(request.checkpoint))
    table = read_csv(context.run / decoy_table(request.checkpoint), ("patient", "auc_mean"))
    best = _best(context)
    if decoy is None or table is None or best is None:
        return  # `promised_files` reports it
    name, predicted = best
    faults = [*_same_cells(context, decoy, predicted)]
    by_patient = _auc(decoy)
    faults += _reported(context, table, by_patient)
    if not faults:
        faults += _refitted(context, decoy)
    yield from bounded(faults)
    if faults:
        return
    ours = _auc(predicted)
    patients = by_patient.index.intersection(ours.index)
    yield judged(context, name, ours[patients], by_patient[patients])


def judged(context: GateContext, name: str, ours: pd.Series, theirs: pd.Series) -> Finding:
    """Judge a configuration by its AUC and that of the decoy, each by patient, in the same order."""
    least = threshold(context, "technical_decoy", "at_least")
    told = "at_least" in context.request.gates.get("technical_decoy", {})
    median, low, high = paired_interval(ours.to_numpy(float), theirs.to_numpy(float))
    measured = (
        f"median AUC {ours.median():.4f} against {theirs.median():.4f} of the decoy, difference {median:.4f} "
        f"({low:.4f} to {high:.4f}) over {len(ours)} patients"
    )
    severity = _severity(median, low, high, least, told=told)
    return _finding(
        subject=name,
        severity=severity,
        measured=measured,
        threshold=f"a difference whose interval lies above {least:g}",
        reason=WHY if severity == "pass" else f"{WHY} {REMEDY}",
    )


def _severity(median: float, low: float, high: float, least: float, *, told: bool) -> Verdict:
    if np.isnan(low):  # one patient has no interval
        return "pass" if median > least and not told else "warn"
    if low > least:
        return "pass"
    return "fail" if told or (median <= least and high <= least) else "warn"


def _best(context: GateContext) -> tuple[str, pd.DataFrame] | None:
    """Return the configuration with the highest median AUC, of those that have predictions, and its predictions.

    Which row is marked is not believed: `score_agreement` compares the mark, and the medians with the predictions.
    """
    request = context.request
    summary = read_csv(context.run / grid_summary(request), ("preprocess", "method", "penalty", "auc_median"))
    if summary is None:
        return None
    by_label = {entry.tag for entry in request.study.preprocess if entry.supervised}
    if request.study.scope == "pipeline":
        by_label = set()  # the label chose genes inside each training fold only
    stands_back = summary["preprocess"].isin(by_label).to_numpy()
    ordered = np.lexsort((-np.nan_to_num(numbers(summary["auc_median"])), stands_back))
    for row in ordered:
        tag, method, penalty = (str(summary.iloc[row][column]) for column in ("preprocess", "method", "penalty"))
        table = read_oof(context.run / oof_table(request, tag, method))
        if table is not None:
            return f"{tag}/{method}/{penalty}", table[(table["penalty"] == penalty).to_numpy()]
    return None


def _auc(table: pd.DataFrame) -> pd.Series:
    """Return each patient's AUC, mean over the repeats."""
    by_repeat = roc_auc_by_repeat(table.assign(penalty="one"))
    mean: pd.Series = by_repeat.groupby("patient", observed=True).mean()
    return mean.rename(index=str)


def _same_cells(context: GateContext, decoy: pd.DataFrame, predicted: pd.DataFrame) -> Iterator[Finding]:
    """Compare the decoy's cells and labels with obs, and its cells and folds with those of the best configuration.

    Where these are not what obs and the request say, that is no fault of the decoy: `prediction_coverage` reports it.
    """
    cells = labelled_cells(context, context.request.study.preprocess[0].tag)
    if cells is None:
        return  # `promised_files` reports it
    label = cells.set_index("cell")["positive"]
    first, second = _by_cell(decoy), _by_cell(predicted)
    repeats = context.request.study.repeats
    theirs = second[~second.index.duplicated() & second.index.get_level_values("cell").isin(label.index)]
    n_twice, n_missing = int(first.index.duplicated().sum()), len(theirs.index.difference(first.index))
    n_strange = int((~first.index.get_level_values("cell").isin(label.index)).sum())
    n_repeats = decoy["repeat"].nunique()
    if n_twice or n_missing or n_strange or n_repeats != repeats:
        measured = (
            f"{n_twice} predictions twice, {n_missing} missing, {n_strange} of cells without a label, "
            f"{n_repeats} repeats"
        )
        yield _fail(DECOY, measured, f"the cells of the best configuration, each once in {repeats} repeats")
        return
    own = label.reindex(first.index.get_level_values("cell")).to_numpy(bool)
    if n_other := int((first["label"].to_numpy(bool) != own).sum()):
        yield _fail(DECOY, f"{n_other} predictions with another label", "that of obs")
    several = theirs.groupby(level=["patient", "repeat"])["fold"].transform("nunique") > 1
    folds = theirs["fold"][several]
    if n_other := int((first["fold"].reindex(folds.index).to_numpy() != folds.to_numpy()).sum()):
        yield _fail(DECOY, f"{n_other} predictions with another fold", "those of the best configuration")


def _by_cell(table: pd.DataFrame) -> pd.DataFrame:
    texts = table.assign(patient=table["patient"].astype(str), cell=table["cell"].astype(str))
    return texts.set_index(["patient", "cell", "repeat"])[["fold", "label"]].sort_index()


def _reported(context: GateContext, table: pd.DataFrame, found: pd.Series) -> Iterator[Finding]:
    said = pd.Series(numbers(table["auc_mean"]), index=table["patient"].to_numpy(dtype=object))
    if sorted(said.index) != sorted(found.index):
        yield _fail("decoy.csv", f"{len(said)} rows", f"one for each of {len(found)} patients")
        return
    off = (said - found.reindex(said.index)).abs()
    for patient in off.index[~(off <= TOLERANCE)]:
        yield _fail(f"decoy.csv: patient {patient}", f"{said[patient]:.6f}", f"{found[patient]:.6f} from predictions")
    metric = context.outcome.metrics.get(METRIC)
    if metric is not None and not abs(metric - float(found.median())) <= TOLERANCE:
        yield _fail(METRIC, f"{metric:.6f}", f"{found.median():.6f} from the predictions")


def _refitted(context: GateContext, decoy: pd.DataFrame) -> Iterator[Finding]:
    request = context.request
    tag = request.study.preprocess[0].tag
    path = context.run / embedding_file(request.checkpoint, tag)
    cells = read_technical(path, technical_columns(request.scope))
    if cells is None or not set(decoy["cell"].cat.categories.astype(str)) <= set(cells.index):
        yield _fail(f"{tag}/adata_with_dr.h5ad", "no depth or technical columns of all cells", "those of every cell")
        return
    one = decoy[(decoy["repeat"] == decoy["repeat"].min()).to_numpy()]
    for patient, said, found in decoy_aucs(one, cells):
        if not abs(said - found) <= REFITTED:
            wanted = f"{found:.4f} from depth and technical columns, within {REFITTED:g}"
            yield _fail(f"decoy of patient {patient}", f"AUC {said:.4f} in the first repeat", wanted)


def _fail(subject: str, measured: str, wanted: str) -> Finding:
    return _finding(subject=subject, severity="fail", measured=measured, threshold=wanted, reason=f"{WHY} {AGAIN}")
