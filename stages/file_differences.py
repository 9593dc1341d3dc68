"""Say how much two files of one format differ: the largest absolute and relative difference of their numbers."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import JsonValue

from stagewright.state.artifacts import ArtifactFormat
from stagewright.state.file_differences import FileDifference, FileDifferences, FilePair, FilePairs, PartDifference
from stagewright.state.snapshot import write_atomically

__all__ = ["answer_compare", "file_difference"]

SHOWN_PARTS = 50
Parts = Mapping[str, NDArray[np.generic]]


def answer_compare(request: Path, answer: Path) -> int:
    """Answer the request in one file with another; return the exit status, 0."""
    asked = FilePairs.model_validate_json(request.read_bytes())
    found = []
    for pair in asked.pairs:
        found.append(file_difference(pair))
        Path(asked.progress).write_text(str(len(found)), encoding="utf-8")
    write_atomically(answer, FileDifferences(found=tuple(found)).model_dump_json() + "\n")
    return 0


def file_difference(pair: FilePair) -> FileDifference:
    """Return the parts of two files that differ, those that differ most first."""
    try:
        before, after = (READERS[pair.format](Path(path)) for path in (pair.before, pair.after))
    except (OSError, ValueError, KeyError, TypeError) as error:
        return FileDifference(name=pair.name, fault=f"cannot be compared: {type(error).__name__}: {error}")
    if before.keys() != after.keys():
        odd = sorted(before.keys() ^ after.keys())
        more = ", ..." if len(odd) > 3 else ""  # noqa: PLR2004 - as many as a line holds
        return FileDifference(name=pair.name, fault=f"other parts: {', '.join(odd[:3])}{more}")
    for name in before:
        if before[name].shape != after[name].shape:
            shapes = f"{before[name].shape} and {after[name].shape}"
            return FileDifference(name=pair.name, n_parts=len(before), fault=f"other shapes of {name}: {shapes}")
    parts = [part for name in before if (part := _compared(name, before[name], after[name])).n_different]
    parts.sort(key=lambda part: -(part.largest_absolute or 0.0))
    return FileDifference(name=pair.name, parts=tuple(parts[:SHOWN_PARTS]), n_parts=len(before))


def _compared(name: str, before: NDArray[np.generic], after: NDArray[np.generic]) -> PartDifference:
    if not all(array.dtype.kind in "fiub" for array in (before, after)):
        texts = [pd.Series(array.ravel()).astype(str).to_numpy(dtype=object) for array in (before, after)]
        return PartDifference(name=name, n_values=before.size, n_different=int(np.count_nonzero(texts[0] != texts[1])))
    left, right = (array.astype(np.float64).ravel() for array in (before, after))
    same = (left == right) | (np.isnan(left) & np.isnan(right))
    apart = ~same & np.isfinite(left) & np.isfinite(right)
    difference = np.abs(left[apart] - right[apart])
    size = np.maximum(np.abs(left[apart]), np.abs(right[apart]))
    return PartDifference(
        name=name,
        n_values=int(left.size),
        n_different=int(np.count_nonzero(~same)),
        largest_absolute=float(difference.max()) if difference.size else None,
        largest_relative=float((difference / size).max()) if difference.size else None,  # one of the two is not 0
    )


def _npy(path: Path) -> Parts:
    return {"values": np.load(path, allow_pickle=False)}


def _table(table: pd.DataFrame) -> Parts:
    return {str(name): column.to_numpy() for name, column in table.items()}


def _h5ad(path: Path) -> Parts:
    found: dict[str, NDArray[np.generic]] = {}

    def visit(name: str, member: h5py.Group | h5py.Dataset) -> None:
        if isinstance(member, h5py.Dataset):
            text = member.dtype.kind == "O"
            found[name] = np.atleast_1d(np.asarray(member.asstr()[()] if text else member[()]))

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    return found


def _json(path: Path) -> Parts:
    leaves = dict(_leaves(json.loads(path.read_text(encoding="utf-8")), ""))
    return {place: np.atleast_1d(np.asarray(value)) for place, value in leaves.items()}


def _leaves(value: JsonValue, place: str) -> Iterator[tuple[str, float | bool | str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, f"{place}.{key}" if place else key)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _leaves(item, f"{place}[{number}]")
    else:
        yield place, "null" if value is None else value


def _other(path: Path) -> Parts:
    """Return nothing: what the format does not tell cannot be subtracted."""
    del path
    return {}


READERS: Mapping[ArtifactFormat, Callable[[Path], Parts]] = {
    "npy": _npy,
    "csv": lambda path: _table(pd.read_csv(path)),
    "parquet": lambda path: _table(pd.read_parquet(path)),
    "h5ad": _h5ad,
    "json": _json,
    "other": _other,
}
