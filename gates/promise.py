"""One file that a step owes. Light to import."""

from dataclasses import dataclass, field
from pathlib import PurePosixPath

from stagewright.state.artifacts import ArtifactFormat

__all__ = ["Promise", "table"]


@dataclass(frozen=True, slots=True)
class Promise:
    """One file that a step owes.

    Attributes
    ----------
    axes
        The length of each axis: a number, the name of an axis that has one length throughout the step, or None where
        nothing is promised. A csv or parquet has the axes rows and columns, an h5ad cells and genes.
    dtype
        The dtype of an npy, e.g. ``float32``; empty where any floating dtype will do.
    columns, obs, keys
        The columns of a table, the obs columns of an h5ad, the keys of a JSON object: at least these.
    obsm, varm
        For an h5ad, the number of columns of each array: at least these arrays.
    """

    path: str
    format: ArtifactFormat
    axes: tuple[int | str | None, ...] = ()
    dtype: str = ""
    columns: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    obs: tuple[str, ...] = ()
    obsm: dict[str, int] = field(default_factory=dict)
    varm: dict[str, int] = field(default_factory=dict)


def table(path: PurePosixPath, columns: str, rows: int | None = None) -> Promise:
    """Return the promise of a csv with some columns, comma-separated, and as many rows."""
    return Promise(str(path), "csv", (rows, None), columns=tuple(columns.split(",")))
