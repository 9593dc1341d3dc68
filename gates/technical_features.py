"""What is known of how cells were measured, and the decoy fitted to it: here again, so that no stage is believed."""

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from anndata.io import read_elem
from numpy.typing import NDArray

from stagewright.gates.oof_auc import roc_auc
from stagewright.gates.ridge import ridge_decision

__all__ = ["decoy_aucs", "read_technical", "technical_features"]

DEPTH = ("stagewright_library_size", "stagewright_detected_genes")
LEVELS = 20
PATIENTS = 20


def read_technical(path: Path, columns: dict[str, str]) -> pd.DataFrame | None:
    """Return the depth and the technical columns of the cells of an h5ad file, by cell; None where one is missing.

    Returns
    -------
    pandas.DataFrame
        `library_size` and `detected_genes` as numbers, then each column by its role, as text.

    Raises
    ------
    OSError
        When the file is not a readable h5ad file.
    """
    with h5py.File(path, "r") as file:
        obs = file["obs"]
        if not {*DEPTH, *columns.values()} <= set(obs):
            return None
        index = read_elem(obs[obs.attrs["_index"]])
        found = {name.removeprefix("stagewright_"): np.asarray(read_elem(obs[name]), float) for name in DEPTH}
        levels = {
            f"role {role}": pd.Series(read_elem(obs[column])).astype(str).to_numpy(dtype=object)
            for role, column in columns.items()
        }
    return pd.DataFrame({**found, **levels}, index=pd.Index(index).astype(str))


def technical_features(cells: pd.DataFrame) -> NDArray[np.float64]:
    """Return the features of one patient's cells from their rows of `read_technical`, shape (n, p).

    log(1 + library size), log(1 + detected genes), and for each column that varies whether a cell has each level, of
    the 20 most frequent ones, among equally frequent ones the first by name.
    """
    features = [np.log1p(cells["library_size"].to_numpy(float)), np.log1p(cells["detected_genes"].to_numpy(float))]
    for name in cells.columns[2:]:
        column = cells[name]
        ordered = sorted(column.value_counts().items(), key=lambda item: (-item[1], str(item[0])))
        if len(ordered) > 1:
            features += [(column == level).to_numpy(float) for level, _ in ordered[:LEVELS]]
    return np.column_stack(features)


def decoy_aucs(oof: pd.DataFrame, cells: pd.DataFrame) -> Iterator[tuple[str, float, float]]:
    """Fit the decoy again in the folds of one repeat, and yield each patient's AUC as written and as found.

    Of more than 20 patients, as many are taken, evenly spread. Left out are patients with a fold whose training cells
    have one class, which `class_support` reports.

    Parameters
    ----------
    oof
        Out-of-fold predictions of the decoy, one repeat.
    cells
        As `read_technical` returns them, of every cell of `oof`.
    """
    patients = sorted(map(str, oof["patient"].unique()))
    for patient in patients[:: -(-len(patients) // PATIENTS)]:
        mine = oof[(oof["patient"] == patient).to_numpy()]
        features = technical_features(cells.loc[pd.Index(mine["cell"].astype(str))])
        label, fold = mine["label"].to_numpy(bool), mine["fold"].to_numpy()
        decision = np.zeros(label.size)
        for number in np.unique(fold):
            test = fold == number
            if label[~test].all() or not label[~test].any():
                break
            decision[test] = ridge_decision(features[~test], label[~test], features[test], float(mine["alpha"].iloc[0]))
        else:
            said, found = (roc_auc(values, label) for values in (mine["decision"].to_numpy(float), decision))
            if np.isfinite(said) and np.isfinite(found):
                yield patient, said, found
