"""The reported AUCs follow from the out-of-fold predictions."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import MappingProxyType

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stagewright.gates.finding import bounded
from stagewright.gates.left_out import left_out
from stagewright.gates.model_names import mode_of, model_names, with_model_names
from stagewright.gates.oof import read_oof
from stagewright.gates.oof_auc import roc_auc_by_repeat
from stagewright.gates.owed_units import grid
from stagewright.gates.places import grid_summary, oof_table, patient_table
from stagewright.gates.protocol import Finding, GateContext
from stagewright.gates.result_rows import alpha_key, alpha_keys
from stagewright.gates.tables import numbers, read_csv

__all__ = ["score_agreement"]

_finding = partial(Finding, gate="score_agreement")
TOLERANCE = 1e-6
OVER_PATIENTS: Mapping[str, Callable[[NDArray[np.float64]], np.floating]] = MappingProxyType(
    {"auc_median": np.median, "auc_mean": np.mean, "auc_min": np.min, "auc_max": np.max}
)
PATIENT_COLUMNS = ("patient", "penalty", "alpha", "auc_mean")
SUMMARY_COLUMNS = ("preprocess", "method", "penalty", "alpha", "best", *OVER_PATIENTS)
WHY = (
    "A score that does not follow from the predictions measures nothing, and decisions and stop criteria are made on "
    "these scores."
)
AGAIN = "To pass: adjust, so that the step is executed again; if it comes back, the stage itself is wrong."


def score_agreement(context: GateContext) -> Iterator[Finding]:
    """Recompute the AUCs of Plan 1b or 1c from their out-of-fold predictions, and compare what the step reports.

    Measured are, of each patient, preprocess, method and penalty, the ROC AUC over the patient's predictions of one
    repeat, averaged over the repeats; it is compared with `auc_mean` in `metrics.csv` at the alpha of the predictions.
    Its median, mean, minimum and maximum over patients are compared with the stage's summary, whose alpha has to be
    that of the predictions; the highest median with the metric `plan1b.best.auc` (`plan1c.best.auc`) and with the row
    that is marked `best`; and each median with the metric of its configuration, e.g. ``plan1b.hvg_3000.nmf.l1.auc`` or
    ``plan1c.hvg_3000.nmf.pooled.none.l1.auc``, where the outcome has one. Rows whose genes were selected with
    the labels (`supervised`) stand for the best only when every row is such.

    Notes
    -----
    The tolerance is 1e-6: an AUC is a ratio of counts, so double precision leaves 1e-15, and a table with six decimals
    5e-7, while a single pair of cells in another order moves the AUC of 500 positive and 500 negative cells by 4e-6.
    """
    request = context.request
    summary = _named(read_csv(context.run / grid_summary(request), SUMMARY_COLUMNS))
    names = model_names(request)
    medians: dict[tuple[str, str, str], float] = {}
    cells = grid(request, left_out(context))
    for tag, method in cells:
        table = read_oof(context.run / oof_table(request, tag, method))
        reported = _named(read_csv(context.run / patient_table(request, tag, method), PATIENT_COLUMNS))
        if table is None or reported is None:
            continue
        # A repeat without an AUC leaves the mean without one, so that it cannot agree with anything.
        by_patient = roc_auc_by_repeat(table).groupby(["penalty", "patient"], observed=True)
        mean = by_patient.agg(lambda auc: auc.mean(skipna=False))
        classes = table.groupby("patient", observed=True)["label"].nunique()
        both = classes.index[classes > 1]
        for penalty in names:
            models = table[(table["penalty"] == penalty).to_numpy()]
            if models.empty:
                continue  # `prediction_coverage` reports it
            auc = mean.xs(penalty, level="penalty")
            if mode_of(request, penalty) is not None:  # these models predict patients with one class too
                auc = auc[auc.index.isin(both)]
            key = (tag, method, penalty)
            medians[key] = float(np.median(auc))
            alphas = set(alpha_keys(models["alpha"].unique()))
            mine = reported[reported["penalty"] == penalty]
            faults = [*_alphas(context, key, alphas), *_patients(key, mine, alphas, auc)]
            faults += [] if summary is None else _row(key, summary, alphas, auc)
            yield from bounded(faults)
            if not faults:
                measured = f"AUC of {len(auc)} patients and over them, from {len(models)} predictions"
                yield _pass("/".join(key), measured)
    if summary is not None and len(medians) == len(cells) * len(names):
        faults = [*_supervised(context, summary), *_best(context, summary, medians), *_metrics(context, medians)]
        yield from bounded(faults)
        if not faults:
            best = _best_metric(context)
            yield _pass(best, f"{context.outcome.metrics[best]:.6f}, the best of {len(medians)} configurations")


def _best_metric(context: GateContext) -> str:
    return f"{context.request.stage}.best.auc"


def _named(table: pd.DataFrame | None) -> pd.DataFrame | None:
    return None if table is None else with_model_names(table)


def _alphas(context: GateContext, key: tuple[str, str, str], alphas: set[str]) -> Iterator[Finding]:
    if len(alphas) != 1 or not alphas <= set(alpha_keys(context.request.study.alphas)):
        measured = f"predictions at alpha {', '.join(sorted(alphas))}"
        yield _fail("/".join(key), measured, "predictions at one of the alphas of the request")


def _patients(key: tuple[str, str, str], reported: pd.DataFrame, alphas: set[str], auc: pd.Series) -> Iterator[Finding]:
    """Compare the rows of one penalty at the alpha of the predictions; `patient_coverage` reports missing rows."""
    for patient, alpha, said in zip(
        reported["patient"], numbers(reported["alpha"]), numbers(reported["auc_mean"]), strict=True
    ):
        if alpha_key(alpha) in alphas and patient in auc.index:
            yield from _agree(f"{'/'.join(key)}: patient {patient} auc_mean", said, float(auc[patient]))


def _row(key: tuple[str, str, str], summary: pd.DataFrame, alphas: set[str], auc: pd.Series) -> Iterator[Finding]:
    name = "/".join(key)
    row = summary[(summary[["preprocess", "method", "penalty"]] == key).all(axis=1)]
    if len(row) != 1:
        yield _fail(name, f"{len(row)} rows in the summary", "one row")
        return
    if (alpha := set(alpha_keys(numbers(row["alpha"])))) != alphas:
        shown = f"predictions at alpha {', '.join(sorted(alphas))}"
        yield _fail(f"{name} alpha", ", ".join(alpha), f"{shown}, as the summary has to say")
    for column, over_patients in OVER_PATIENTS.items():
        yield from _agree(
            f"{name} {column}", float(numbers(row[column])[0]), float(over_patients(auc.to_numpy(np.float64)))
        )


def _best(
    context: GateContext, summary: pd.DataFrame, medians: Mapping[tuple[str, str, str], float]
) -> Iterator[Finding]:
    rows = zip(*(summary[name] for name in ("preprocess", "method", "penalty")), strict=True)
    keys = list(rows)
    supervised = {key for key, marked in zip(keys, _marked(summary, "supervised"), strict=True) if marked}
    if _refitted(context):
        supervised = set()  # the label chose genes inside each training fold only
    eligible = [key for key in medians if key not in supervised] or list(medians)
    highest = max(medians[key] for key in eligible)
    metric = _best_metric(context)
    if metric in context.outcome.metrics:
        yield from _agree(metric, context.outcome.metrics[metric], highest)
    else:
        yield _fail(metric, "missing", f"{highest:.6f} from the predictions")
    best = [key for key, marked in zip(keys, _marked(summary, "best"), strict=True) if marked]
    if len(best) != 1 or best[0] not in eligible or not abs(medians[best[0]] - highest) <= TOLERANCE:
        shown = ", ".join("/".join(key) for key in best) or "no row"
        yield _fail("row marked best", shown, f"one of the {len(eligible)} eligible rows, with AUC {highest:.6f}")


def _refitted(context: GateContext) -> bool:
    """Return whether the genes were chosen anew inside each training fold: Plan 1b does so, Plan 1c never."""
    return context.request.stage == "plan1b" and context.request.study.scope == "pipeline"


def _supervised(context: GateContext, summary: pd.DataFrame) -> Iterator[Finding]:
    """Compare the column `supervised`, if there is one, with the request."""
    if "supervised" not in summary or _refitted(context):
        return
    by_label = {entry.tag: entry.supervised for entry in context.request.study.preprocess}
    marks = dict(zip(summary["preprocess"], _marked(summary, "supervised"), strict=True))
    for tag, marked in marks.items():
        if by_label.get(tag, marked) != marked:
            yield _fail(f"{tag} supervised", str(marked), f"{by_label[tag]}, as the request says")


def _metrics(context: GateContext, medians: Mapping[tuple[str, str, str], float]) -> Iterator[Finding]:
    for key, median in medians.items():
        name = ".".join((context.request.stage, *key, "auc"))
        if name in context.outcome.metrics:
            yield from _agree(name, context.outcome.metrics[name], median)


def _marked(summary: pd.DataFrame, column: str) -> list[bool]:
    if column not in summary:
        return [False] * len(summary)
    return [str(value).lower() in {"true", "1"} for value in summary[column]]


def _agree(subject: str, said: float, found: float) -> Iterator[Finding]:
    if not abs(said - found) <= TOLERANCE:
        yield _fail(subject, f"{said:.6f}", f"{found:.6f} from the predictions, within {TOLERANCE:g}")


def _pass(subject: str, measured: str) -> Finding:
    threshold = f"equal to what the predictions give, within {TOLERANCE:g}"
    return _finding(subject=subject, severity="pass", measured=measured, threshold=threshold, reason=WHY)


def _fail(subject: str, measured: str, threshold: str) -> Finding:
    return _finding(subject=subject, severity="fail", measured=measured, threshold=threshold, reason=f"{WHY} {AGAIN}")
