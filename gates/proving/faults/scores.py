"""Faults of scores: figures that do not follow from the predictions."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stagewright.gates.places import grid_summary, oof_table, patient_table
from stagewright.gates.proving.fault_entry import DoesNotApply
from stagewright.gates.proving.faults.patients import cell_of
from stagewright.gates.proving.spoiled_step import SpoiledStep
from stagewright.gates.result_rows import alpha_key
from stagewright.gates.tables import numbers
from stagewright.gates.winner_stability import METRIC

__all__ = ["edited_metric", "edited_patient", "edited_stability", "edited_summary", "other_best"]

MOVED = 1e-3
UNCOUNTED = 0.98765
"""Not the share of a whole number of patients, unless there are thousands."""


def edited_patient(step: SpoiledStep) -> None:
    """Move the AUC of one patient, at the strength that was chosen, by a thousandth."""
    tag, method = cell_of(step)
    table = pd.read_parquet(step.run / oof_table(step.request, tag, method))
    # Models of several patients also predict those with one class, which have no AUC to move.
    both = table.groupby("patient", observed=True)["label"].transform("nunique").to_numpy() > 1
    if not both.any():
        raise DoesNotApply("no patient has both classes")
    predicted = table[both].iloc[0]

    def edit(table: pd.DataFrame) -> pd.DataFrame:
        row = (table["patient"] == str(predicted["patient"])).to_numpy()
        row &= [alpha_key(alpha) == alpha_key(predicted["alpha"]) for alpha in numbers(table["alpha"])]
        for name in ("penalty", "mode", "downsampling"):
            if name in predicted.index and name in table:
                row &= (table[name] == str(predicted[name])).to_numpy()
        return table.assign(auc_mean=_moved(table["auc_mean"], row))

    step.csv(patient_table(step.request, tag, method), edit)


def edited_summary(step: SpoiledStep) -> None:
    """Move the median AUC of one configuration by a thousandth."""
    step.csv(
        grid_summary(step.request),
        lambda table: table.assign(auc_median=_moved(table["auc_median"], np.arange(len(table)) == 0)),
    )


def edited_metric(step: SpoiledStep) -> None:
    """Report a higher best AUC to the stop criteria than any table has."""
    name = f"{step.stage}.best.auc"
    step.say(metrics=step.outcome.metrics | {name: step.outcome.metrics.get(name, 0.5) + MOVED})


def edited_stability(step: SpoiledStep) -> None:
    """Report a share of the patients without whom the winner stays that nobody counted."""
    if len(pd.read_csv(step.run / grid_summary(step.request))) < 2:  # noqa: PLR2004 - nothing to choose from
        raise DoesNotApply(f"{step.asked.step} has one configuration, so it chose none")
    step.say(metrics=step.outcome.metrics | {METRIC: UNCOUNTED})


def other_best(step: SpoiledStep) -> None:
    """Mark the configuration with the lowest AUC as the best."""

    def mark(table: pd.DataFrame) -> pd.DataFrame:
        medians = numbers(table["auc_median"])
        if medians.max() - medians.min() <= MOVED:
            raise DoesNotApply(f"{step.asked.step} has no two configurations with different AUCs")
        return table.assign(best=[str(row == medians.argmin()) for row in range(len(table))])

    step.csv(grid_summary(step.request), mark)


def _moved(column: pd.Series, row: NDArray[np.bool_]) -> pd.Series:
    values = numbers(column)
    moved = np.where(values > 0.5, values - MOVED, values + MOVED)  # noqa: PLR2004 - it stays in [0, 1]
    return column.mask(row, pd.Series([repr(float(value)) for value in moved], index=column.index))
