"""Faults of the cells themselves: columns that tell the label, and cells that are there twice."""

import h5py
import numpy as np
import pandas as pd
from anndata.io import read_elem
from numpy.typing import NDArray
from scipy.spatial import KDTree

from stagewright.gates.cohort_obs import labelled_cells
from stagewright.gates.places import embedding_file
from stagewright.gates.proving.fault_entry import DoesNotApply
from stagewright.gates.proving.spoiled_step import SpoiledStep
from stagewright.state.layout import plan1c_folder

__all__ = ["edited_confounding", "label_as_annotation", "label_as_batch", "repeated_cell"]

DEPTH = ("stagewright_library_size", "stagewright_detected_genes")
COLUMN = "label_in_other_words"
MOVED = 0.01


def label_as_annotation(step: SpoiledStep) -> None:
    """Name a column in the spec that repeats the label of each cell."""
    _name_a_copy(step, "annotation")


def label_as_batch(step: SpoiledStep) -> None:
    """Let every cell of a class be of one batch."""
    _name_a_copy(step, "batch")


def edited_confounding(step: SpoiledStep) -> None:
    """Report a weaker tie of the label to a column than there is, or a stronger one where there is none."""

    def edit(record: dict[str, dict[str, dict[str, float]]]) -> None:
        if not record["columns"]:
            raise DoesNotApply(f"{step.asked.step} compared no column with the label")
        first = next(iter(record["columns"].values()))
        first["cramers_v"] += MOVED if first["cramers_v"] < MOVED else -MOVED

    step.json(plan1c_folder(step.request.checkpoint) / "confounding.json", edit)


def repeated_cell(step: SpoiledStep) -> None:
    """Put the cell of one patient in the place of the cell of another one that is most like it in depth."""
    tag = step.request.study.preprocess[0].tag
    path = embedding_file(step.request.checkpoint, tag)
    cells = labelled_cells(step.context, tag)
    with step.cohort(path) as file:
        obs = file["obs"]
        if not set(DEPTH) <= set(obs):
            raise DoesNotApply("the depth of the cells is not known")
        index = pd.Index(np.asarray(read_elem(obs[obs.attrs["_index"]]), dtype=object)).astype(str)
        patients = [] if cells is None else [group for _, group in cells.groupby("patient", observed=True)]
        if len(patients) < 2:  # noqa: PLR2004 - the cell of one under the name of another
            raise DoesNotApply("the cells are of one patient")
        mine, *others = (index.get_indexer(pd.Index(group["cell"].astype(str))) for group in patients)
        _copy_nearest(file, mine, np.concatenate(others))


def _copy_nearest(file: h5py.File, mine: NDArray[np.intp], others: NDArray[np.intp]) -> None:
    depth = np.column_stack([np.log1p(np.asarray(file[f"obs/{name}"][()], dtype=np.float64)) for name in DEPTH])
    apart, nearest = KDTree(depth[mine]).query(depth[others])
    target = others[int(apart.argmin())]
    source = mine[nearest[int(apart.argmin())]]
    for name in (*(f"obs/{name}" for name in DEPTH), *(f"obsm/{name}" for name in file["obsm"])):
        array = file[name][()]
        array[target] = array[source]
        file[name][...] = array


def _name_a_copy(step: SpoiledStep, role: str) -> None:
    """Write the label of each cell into another column, of every preprocess, and name that one in the spec."""
    request = step.request
    scope = request.scope
    for entry in request.study.preprocess:
        with step.cohort(embedding_file(request.checkpoint, entry.tag)) as file:
            obs = file["obs"]
            obs.copy(scope.label.column, COLUMN)
            obs.attrs["column-order"] = [*obs.attrs["column-order"], COLUMN]
    named = scope.model_copy(update={"columns": {**scope.columns, role: COLUMN}})
    step.request = request.model_copy(update={"scope": named})
