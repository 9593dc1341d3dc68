"""What an HDF5 file and a zarr store have in common: groups of arrays with attributes, under the same names."""

from typing import TypeAlias

import h5py

from stagewright.stages.cohort.unreadable import CohortUnreadable

__all__ = ["Element", "Store", "check_members", "is_array", "place_of"]

Store: TypeAlias = h5py.Group
"""An open file or store, or a group in it: `zarr.Group` has the same part of the interface that is used here."""
Element: TypeAlias = "h5py.Group | h5py.Dataset"
"""A group or an array; `zarr.Array` likewise."""


def is_array(element: Element) -> bool:
    """Say whether an element is an array and not a group."""
    return hasattr(element, "shape")


def place_of(element: Element) -> str:
    """Return the path of the file or store that an element lies in."""
    file = getattr(element, "file", None)
    if file is not None:
        return str(file.filename)
    return str(getattr(element.store, "root", element.store))


def check_members(store: Store, path: str) -> None:
    """Check that a file or store holds an AnnData.

    Raises
    ------
    CohortUnreadable
        obs or var is not there, or no matrix; says what the file may be instead.
    """
    missing = [name for name in ("obs", "var") if name not in store]
    if "X" not in store and not ("layers" in store and len(store["layers"])):
        missing.insert(0, "X")
    if not missing:
        return
    lacking = " and no ".join(missing)
    what = _what_else(store)
    if what is not None:
        raise CohortUnreadable(f"{path}: {what} (it has no {lacking})")
    raise CohortUnreadable(f"{path}: has no {lacking}; an h5ad file holds X, obs and var: write it with anndata")


def _what_else(store: Store) -> str | None:
    """Name the format of a file that is none of ours, with the way to convert it."""
    if "matrix" in store and ("row_attrs" in store or "col_attrs" in store):
        return "is a loom file; convert it: anndata.io.read_loom(path).write_h5ad('cohort.h5ad')"
    if "matrix" in store and not is_array(store["matrix"]) and "barcodes" in store["matrix"]:
        return "is a 10x Genomics file; convert it: scanpy.read_10x_h5(path).write_h5ad('cohort.h5ad')"
    if "mod" in store:
        return "is a MuData file; write one of its modalities as .h5ad: mudata.read(path).mod['rna'].write_h5ad(...)"
    return None
