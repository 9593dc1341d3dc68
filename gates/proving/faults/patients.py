"""Faults of the patients: lost, mixed up, miscounted."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from stagewright.gates.cohort_obs import class_counts, labelled_cells
from stagewright.gates.left_out import left_out
from stagewright.gates.owed_units import grid
from stagewright.gates.places import coefficients_table, embedding_file, oof_table, patient_table
from stagewright.gates.proving.fault_entry import DoesNotApply
from stagewright.gates.proving.rescore import rescore
from stagewright.gates.proving.spoiled_step import SpoiledStep
from stagewright.state.artifacts import Skipped

__all__ = ["dropped", "lost_alpha", "merged", "miscounted", "no_reason", "other_k"]


def dropped(step: SpoiledStep) -> None:
    """Leave a patient out of one configuration, predictions and all, and score what is left."""
    tag, method = cell_of(step)
    patient = _scored(step, tag, method)[0]

    def without(table: pd.DataFrame) -> pd.DataFrame:
        return table[(table["patient"].astype(str) != patient).to_numpy()]

    step.csv(patient_table(step.request, tag, method), without)
    if step.has(coefficients := coefficients_table(step.request, tag, method)):
        step.csv(coefficients, without)
    if step.stage != "plan1a":
        step.parquet(oof_table(step.request, tag, method), without)
        rescore(step, tag, method)


def merged(step: SpoiledStep) -> None:
    """Write the cells of one patient under the name of another."""
    tag = step.request.study.preprocess[0].tag
    path = embedding_file(step.request.checkpoint, tag)
    if not step.has(path):
        raise DoesNotApply(f"{step.asked.step} reads the cells of an earlier step")
    cells = labelled_cells(step.context, tag)
    both = [] if cells is None else [patient for patient, found in class_counts(cells).items() if found.both]
    if len(both) < 2:  # noqa: PLR2004 - one to be lost in another
        raise DoesNotApply("no two patients have cells of both classes")
    with step.h5ad(path) as file:
        column = file["obs"][step.request.scope.patient]
        if "codes" not in column:
            raise DoesNotApply("the patients are stored as plain text")
        names = [name.decode() if isinstance(name, bytes) else str(name) for name in column["categories"][()]]
        codes = column["codes"][()]
        codes[codes == names.index(both[0])] = names.index(both[1])
        column["codes"][...] = codes


def no_reason(step: SpoiledStep) -> None:
    """Leave a patient out and give an empty reason."""
    tag, method = cell_of(step)
    patient = _scored(step, tag, method)[0]
    dropped(step)
    where = f"{tag}/{method}"
    step.say(skipped=(*step.outcome.skipped, Skipped(patient=patient, reason=" ", where=where)))


def miscounted(step: SpoiledStep) -> None:
    """Count one positive cell of a patient more than there are."""
    tag, method = cell_of(step)
    patient = _scored(step, tag, method)[0]

    def count(table: pd.DataFrame) -> pd.DataFrame:
        mine = table["patient"] == patient
        return table.assign(n_positive=table["n_positive"].mask(mine, _one_more(table.loc[mine, "n_positive"])))

    _in_results(step, tag, method, count)


def other_k(step: SpoiledStep) -> None:
    """Report the results of another K under the chosen one's name."""
    tag, method = cell_of(step)
    _in_results(step, tag, method, lambda table: table.assign(k=_one_more(table["k"])))


def lost_alpha(step: SpoiledStep) -> None:
    """Leave one penalty strength of one patient out: the one that looked worst, perhaps."""
    tag, method = cell_of(step)
    patient = _scored(step, tag, method)[0]

    def lose(table: pd.DataFrame) -> pd.DataFrame:
        last = table.index[table["patient"] == patient][-1]
        return table[np.asarray(table.index != last)]

    _in_results(step, tag, method, lose)


def cell_of(step: SpoiledStep) -> tuple[str, str]:
    """Return the preprocess and the method of the first cell of the grid that the step wrote."""
    for tag, method in grid(step.request, left_out(step.context)):
        if step.has(patient_table(step.request, tag, method)):
            return tag, method
    raise DoesNotApply(f"{step.asked.step} scored nothing")


def _in_results(step: SpoiledStep, tag: str, method: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    step.csv(patient_table(step.request, tag, method), change)


def _scored(step: SpoiledStep, tag: str, method: str) -> list[str]:
    path = step.run / patient_table(step.request, tag, method)
    return sorted(pd.read_csv(path, dtype=str, keep_default_na=False)["patient"].unique())


def _one_more(column: pd.Series) -> str:
    return str(int(float(column.iloc[0])) + 1)
