"""Predictions are probabilities and tell cells apart."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from stagewright.gates.catalogue import threshold
from stagewright.gates.finding import bounded
from stagewright.gates.left_out import left_out
from stagewright.gates.oof import read_oof
from stagewright.gates.owed_units import grid
from stagewright.gates.places import coefficients_table, oof_table
from stagewright.gates.protocol import Finding, GateContext
from stagewright.gates.tables import numbers, read_csv

__all__ = ["predictions"]

_finding = partial(Finding, gate="predictions")
SIGMOID_TOLERANCE = 1e-4
NEARLY = 0.01
"""A range of probabilities below one in a hundred separates no cells that anybody would call by it."""
AGAIN = "To pass: adjust, so that the step is executed again; if it comes back, the stage itself is wrong."
CONSTANT = (
    "A model that gives every cell the same answer has learnt nothing, and its AUC of 0.5 hides that. To pass: adjust "
    "alphas towards weaker penalties, or leave the method out."
)
NEARLY_CONSTANT = (
    "Cells may still rank well within so small a range, but nobody could call a cell by it, and a penalty so strong is "
    "near the one that leaves nothing. To pass: adjust alphas towards weaker penalties."
)
ONE_PATIENT = (
    "A model that gives every cell the same answer has learnt nothing about this patient: it is worth knowing, but one "
    "patient may be like that. To pass: adjust alphas towards weaker penalties."
)


def predictions(context: GateContext) -> Iterator[Finding]:
    """Look at what the models predict.

    For Plan 1b, of the out-of-fold predictions: probabilities that are not finite or outside [0, 1] (none allowed),
    probabilities that are not the logistic function of their decision value within 1e-4, and the range of the
    probabilities within one fitted model (one patient, penalty, repeat and fold). A patient is constant when none of
    its models has a range of at least the bound. For Plan 1a, which keeps no predictions, a patient is constant when
    no model at any alpha has a coefficient of at least the bound, in logits per standard deviation.

    Notes
    -----
    A configuration (preprocess, method, penalty) fails when every patient is constant; single patients are a warning,
    and so are patients whose probabilities out of fold have a range below 0.01.
    The bound is 1e-6 by default: solvers stop within about 1e-6 of the optimum, so a smaller range is a model without
    features. Folds are looked at one by one because their intercepts may differ where nothing else does.
    """
    for tag, method in grid(context.request, left_out(context)):
        name = f"{tag}/{method}"
        if context.request.stage == "plan1a":
            yield from _without_predictions(context, name, tag, method)
        else:
            yield from _out_of_fold(context, name, tag, method)


def _without_predictions(context: GateContext, name: str, tag: str, method: str) -> Iterator[Finding]:
    table = read_csv(context.run / coefficients_table(context.request, tag, method), ("patient", "penalty"))
    if table is None:
        return
    components = [column for column in table.columns if column.startswith("component_")]
    values = (
        np.column_stack([numbers(table[column]) for column in components]) if components else np.empty((len(table), 0))
    )
    if not np.isfinite(values).all():
        rows = int((~np.isfinite(values)).any(axis=1).sum())
        yield _fail(f"{name} coefficients", f"{rows} rows with a value that is not finite", "finite numbers", AGAIN)
    table["range"] = np.nan_to_num(np.abs(values)).max(axis=1, initial=0.0)
    for penalty, models in table.groupby("penalty", sort=True):
        widest = models.groupby("patient", sort=True)["range"].max()
        yield from _constant(context, f"{name}/{penalty}", dict(zip(widest.index, widest, strict=True)), "coefficient")


def _out_of_fold(context: GateContext, name: str, tag: str, method: str) -> Iterator[Finding]:
    table = read_oof(context.run / oof_table(context.request, tag, method))
    if table is None:
        return
    probability, decision = table["probability"].to_numpy(float), table["decision"].to_numpy(float)
    lost = ~np.isfinite(probability) | ~np.isfinite(decision)
    if lost.any():
        yield _fail(name, f"{int(lost.sum())} predictions are not finite", "finite numbers", AGAIN)
    outside = ~lost & ((probability < 0) | (probability > 1))
    if outside.any():
        worst = probability[outside][np.argmax(np.abs(probability[outside] - 0.5))]
        yield _fail(name, f"{int(outside.sum())} outside, e.g. {worst:.4g}", "probabilities in [0, 1]", AGAIN)
    with np.errstate(over="ignore"):
        off = ~lost & ~outside & (np.abs(1 / (1 + np.exp(-decision)) - probability) > SIGMOID_TOLERANCE)
    if off.any():
        measured = f"{int(off.sum())} probabilities do not follow from their decision value"
        yield _fail(name, measured, f"1 / (1 + exp(-decision)) within {SIGMOID_TOLERANCE:g}", AGAIN)
    model = table.groupby(["penalty", "patient", "repeat", "fold"], observed=True, sort=True)["probability"]
    ranges = (model.max() - model.min()).groupby(["penalty", "patient"], observed=True).max()
    for penalty in sorted(set(ranges.index.get_level_values("penalty"))):
        widest = ranges.xs(penalty, level="penalty")
        by_patient = {str(patient): float(value) for patient, value in zip(widest.index, widest, strict=True)}
        yield from _constant(context, f"{name}/{penalty}", by_patient, "range")
        yield from bounded(_nearly_constant(context, f"{name}/{penalty}", by_patient))


def _constant(context: GateContext, name: str, widest: dict[str, float], of: str) -> Iterator[Finding]:
    least = threshold(context, "predictions", "at_least")
    constant = [patient for patient, value in widest.items() if not value >= least]
    wanted = f"a {of} of at least {least:g}"
    if constant and len(constant) == len(widest):
        yield _fail(name, f"constant for all {len(constant)} patients", wanted, CONSTANT)
        return
    yield from bounded(
        _finding(
            subject=f"{name}: patient {patient}",
            severity="warn",
            measured=f"constant ({of} {widest[patient]:.1e})",
            threshold=wanted,
            reason=ONE_PATIENT,
        )
        for patient in constant
    )
    if not constant:
        measured = f"{of} of at least {min(widest.values()):.2g} for each of {len(widest)} patients"
        yield _finding(
            subject=name, severity="pass", measured=measured, threshold=wanted, reason=CONSTANT.partition(" To")[0]
        )


def _nearly_constant(context: GateContext, name: str, widest: dict[str, float]) -> Iterator[Finding]:
    least = threshold(context, "predictions", "at_least")
    for patient, value in widest.items():
        if least <= value < NEARLY:
            yield _finding(
                subject=f"{name}: patient {patient}",
                severity="warn",
                measured=f"nearly constant (range {value:.1e})",
                threshold=f"a range of at least {NEARLY:g}",
                reason=NEARLY_CONSTANT,
            )


def _fail(subject: str, measured: str, threshold: str, reason: str) -> Finding:
    return _finding(subject=subject, severity="fail", measured=measured, threshold=threshold, reason=reason)
