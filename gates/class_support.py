"""Each training and each test fold holds cells of both classes."""

from collections.abc import Iterator
from functools import partial

import pandas as pd

from stagewright.gates.finding import bounded
from stagewright.gates.left_out import left_out
from stagewright.gates.model_names import mode_of, model_names
from stagewright.gates.oof import read_oof
from stagewright.gates.owed_units import grid
from stagewright.gates.places import oof_table
from stagewright.gates.protocol import Finding, GateContext
from stagewright.state.plan1c_models import groups_of

__all__ = ["class_support"]

_finding = partial(Finding, gate="class_support")
WHY = (
    "A model that was trained on one class has learnt nothing, and a test fold with one class cannot be told apart by "
    "any model: its cells enter the score only through what models of other folds say of others."
)
AGAIN = "To pass: adjust, so that the step is executed again; if it comes back, the stage itself is wrong."
THRESHOLD = "cells of both classes on both sides of each fold"
FOLD = ["patient", "repeat", "fold"]


def class_support(context: GateContext) -> Iterator[Finding]:
    """Count the classes on both sides of each fold, from the out-of-fold predictions of Plan 1b or 1c.

    For models within patients a patient's test fold is its cells in the fold, its training fold its others; for the
    models of Plan 1c that train on several patients both are over all cells. Labels are those of the predictions, which
    `prediction_coverage` compares with obs.

    Notes
    -----
    None is allowed where folds are stratified, as they are by construction. Grouped folds may lack a class in a test
    fold, where groups have one class: that is told, and passes; a training fold without a class fails in any case.
    A repeat with a single fold has no training fold, which `prediction_coverage` reports.
    """
    request = context.request
    for tag, method in grid(request, left_out(context)):
        table = read_oof(context.run / oof_table(request, tag, method))
        if table is None:
            continue
        faults: list[Finding] = []
        n_folds = lacking = 0
        for name in model_names(request):
            mode = mode_of(request, name) or "per_patient"  # which Plan 1b is
            models = table[(table["penalty"] == name).to_numpy()]
            grouped = groups_of(request.study, mode, request.scope.patient) is not None
            sides = _sides(models, together=mode != "per_patient")
            n_folds += len(sides)
            one_test, one_train = sides["test"] < 2, sides["train"] < 2  # noqa: PLR2004 - two classes
            faults += _told(f"{tag}/{method}/{name}", sides[one_train], "training")
            if grouped:
                lacking += int(one_test.sum())
            else:
                faults += _told(f"{tag}/{method}/{name}", sides[one_test], "test")
        yield from bounded(faults)
        if not faults:
            but = f"; {lacking} grouped test folds have one class, as they may" if lacking else ""
            yield _finding(
                subject=f"{tag}/{method}",
                severity="pass",
                measured=f"{n_folds} folds with both classes on both sides{but}",
                threshold=THRESHOLD,
                reason=WHY,
            )


def _sides(models: pd.DataFrame, *, together: bool) -> pd.DataFrame:
    """Return the number of classes on the test and on the training side of each fold, where there is more than one."""
    keys = {name: models[name].astype(str) if name == "patient" else models[name] for name in FOLD}
    if together:
        keys["patient"] = pd.Series("all cells", index=models.index)
    label = models["label"].astype(int)
    counts = (
        pd.DataFrame({**keys, "positive": label, "negative": 1 - label}).groupby(FOLD)[["positive", "negative"]].sum()
    )
    of_repeat = counts.groupby(level=["patient", "repeat"])
    others = of_repeat.transform("sum") - counts
    several = of_repeat.transform("size") > 1
    found = pd.DataFrame({"test": (counts > 0).sum(axis=1), "train": (others > 0).sum(axis=1)})
    return found[several]


def _told(name: str, folds: pd.DataFrame, side: str) -> Iterator[Finding]:
    by_patient = pd.Series(1, index=folds.index).groupby(level="patient").sum()
    for patient, number in by_patient.items():
        whose = str(patient) if patient == "all cells" else f"patient {patient}"
        yield _finding(
            subject=f"{name}: {whose}",
            severity="fail",
            measured=f"{number} {side} folds with one class",
            threshold=THRESHOLD,
            reason=f"{WHY} {AGAIN}",
        )
