"""Open a file as its format and say what is in it, without reading a matrix."""

import csv
import json
from dataclasses import dataclass, field
from pathlib import Path

from stagewright.state.artifacts import ArtifactFormat

__all__ = ["ArtifactUnreadable", "Opened", "open_artifact"]


class ArtifactUnreadable(ValueError):  # noqa: N818 - names the state of the file, as Refusal names the reply
    """The file is not a whole file of its format; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Opened:
    """What a file holds; the fields mean what they mean in `Artifact` and `Promise`."""

    shape: tuple[int, ...] = ()
    dtype: str = ""
    columns: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    obs: tuple[str, ...] = ()
    obsm: dict[str, int] = field(default_factory=dict)
    varm: dict[str, int] = field(default_factory=dict)


def open_artifact(path: Path, form: ArtifactFormat) -> Opened:
    """Open a file and return what it holds.

    Parameters
    ----------
    path
        An existing file.
    form
        How to read it; of ``other`` nothing can be said.

    Raises
    ------
    ArtifactUnreadable
        When it is not a whole file of that format.
    """
    try:
        return READERS[form](path)
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise ArtifactUnreadable(f"not a readable {form}: {error}") from error


def _npy(path: Path) -> Opened:
    import numpy as np  # noqa: PLC0415 - only for steps that have such a file

    array = np.load(path, mmap_mode="r", allow_pickle=False)
    return Opened(shape=array.shape, dtype=str(array.dtype))


def _csv(path: Path) -> Opened:
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.reader(file, strict=True)
        header = next(reader, None)
        if not header:
            raise ValueError("it has no header line")
        rows = 0
        for row in reader:
            if len(row) != len(header):
                raise ValueError(f"row {rows + 1} has {len(row)} fields, the header {len(header)}")
            rows += 1
    return Opened(shape=(rows, len(header)), columns=tuple(header))


def _parquet(path: Path) -> Opened:
    from pyarrow import parquet  # noqa: PLC0415 - as above

    footer = parquet.read_metadata(path)
    return Opened(shape=(footer.num_rows, footer.num_columns), columns=tuple(footer.schema.names))


def _json(path: Path) -> Opened:
    value = json.loads(path.read_text(encoding="utf-8"))
    return Opened(keys=tuple(value) if isinstance(value, dict) else ())


def _h5ad(path: Path) -> Opened:
    import h5py  # noqa: PLC0415 - as above

    with h5py.File(path, "r") as file:
        cells, genes = (_index_length(file, table) for table in ("obs", "var"))
        shape = _matrix_shape(file)
        if shape != (cells, genes):
            raise ValueError(f"X is {shape}, obs and var have {(cells, genes)}")
        return Opened(
            shape=(cells, genes),
            obs=tuple(str(name) for name in file["obs"].attrs["column-order"]),
            obsm=_widths(file, "obsm", cells),
            varm=_widths(file, "varm", genes),
        )


def _index_length(file: "h5py.File", table: str) -> int:  # type: ignore[name-defined]  # noqa: F821 - imported late
    group = file[table]
    return int(group[group.attrs["_index"]].shape[0])


def _matrix_shape(file: "h5py.File") -> tuple[int, ...]:  # type: ignore[name-defined]  # noqa: F821 - imported late
    matrix = file["X"]
    if "indptr" not in matrix:
        return tuple(int(length) for length in matrix.shape)
    shape = tuple(int(length) for length in matrix.attrs["shape"])
    stored, values, indices = int(matrix["indptr"][-1]), matrix["data"].shape[0], matrix["indices"].shape[0]
    if not stored == values == indices:
        raise ValueError(f"X has {values} values and {indices} indices where its rows end at {stored}")
    return shape


def _widths(file: "h5py.File", name: str, length: int) -> dict[str, int]:  # type: ignore[name-defined]  # noqa: F821 - imported late
    widths = {}
    for key, array in file.get(name, {}).items():
        if len(getattr(array, "shape", ())) != 2:  # noqa: PLR2004 - cells or genes, and components
            continue
        if array.shape[0] != length:
            raise ValueError(f"{name}[{key!r}] has {array.shape[0]} rows, not {length}")
        widths[key] = int(array.shape[1])
    return widths


def _other(path: Path) -> Opened:
    with path.open("rb") as file:
        file.read(1)
    return Opened()


READERS = {"npy": _npy, "csv": _csv, "parquet": _parquet, "json": _json, "h5ad": _h5ad, "other": _other}
