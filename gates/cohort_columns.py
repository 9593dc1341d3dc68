"""Read named obs columns of the cells that Plan 1 classifies, beside their patient and label."""

from collections.abc import Iterable

import h5py
import numpy as np
import pandas as pd
from anndata.io import read_elem

from stagewright.gates.cohort_obs import labelled_cells
from stagewright.gates.places import embedding_file
from stagewright.gates.protocol import GateContext

__all__ = ["cohort_columns"]


def cohort_columns(context: GateContext, names: Iterable[str]) -> tuple[pd.DataFrame, dict[str, pd.Series]] | None:
    """Return the labelled cells as `labelled_cells` does, and of each named column that obs has, their values.

    The cells are those of the first preprocess: they are the same in all. None when its file is not there.
    """
    tag = context.request.study.preprocess[0].tag
    cells = labelled_cells(context, tag)
    if cells is None:
        return None
    found: dict[str, pd.Series] = {}
    with h5py.File(context.run / embedding_file(context.request.checkpoint, tag), "r") as file:
        obs = file["obs"]
        index = pd.Index(np.asarray(read_elem(obs[obs.attrs["_index"]]), dtype=object)).astype(str)
        rows = index.get_indexer(pd.Index(cells["cell"].astype(str)))
        for name in dict.fromkeys(names):
            if name in obs:
                found[name] = pd.Series(read_elem(obs[name])).iloc[rows].reset_index(drop=True)
    return cells, found
