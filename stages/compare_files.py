"""Say by how much two files of numbers differ: npy, csv, parquet, h5ad and json."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

from stagewright.state.file_comparison import FilesAnswer, FilesQuestion

__all__ = ["answer_files", "how_different"]

SHOWN = 3


def answer_files(question: Path, answer: Path) -> int:
    """Answer a question of the `tools` room and return the exit status."""
    asked = FilesQuestion.model_validate_json(question.read_bytes())
    said = {pair.name: how_different(Path(pair.one), Path(pair.other)) for pair in asked.pairs}
    answer.write_text(FilesAnswer(differences=said).model_dump_json(), encoding="utf-8")
    return 0


def how_different(one: Path, other: Path) -> str:
    """Return in words where two files differ and by how much; a file that cannot be read is told as such."""
    try:
        parts = list(_parts(one, other))
    except (OSError, ValueError, KeyError) as error:
        return f"cannot be compared as numbers: {error}"
    if not parts:
        return "holds the same numbers; only its bytes differ"
    more = f"; and {len(parts) - SHOWN} more places" if len(parts) > SHOWN else ""
    return "; ".join(parts[:SHOWN]) + more


def _parts(one: Path, other: Path) -> Iterator[str]:
    match one.suffix:
        case ".npy":
            yield from _arrays("", np.load(one, allow_pickle=False), np.load(other, allow_pickle=False))
        case ".csv":
            yield from _tables(pd.read_csv(one), pd.read_csv(other))
        case ".parquet":
            yield from _tables(pd.read_parquet(one), pd.read_parquet(other))
        case ".h5ad":
            yield from _stores(one, other)
        case _:
            yield f"{one.stat().st_size} bytes against {other.stat().st_size}, not a file of numbers"


def _tables(one: pd.DataFrame, other: pd.DataFrame) -> Iterator[str]:
    if list(one.columns) != list(other.columns) or len(one) != len(other):
        yield f"{len(one)} x {len(one.columns)} against {len(other)} x {len(other.columns)}, or other columns"
        return
    for column in one.columns:
        yield from _arrays(str(column), one[column].to_numpy(), other[column].to_numpy())


def _stores(one: Path, other: Path) -> Iterator[str]:
    with h5py.File(one) as first, h5py.File(other) as second:
        names = {name: _datasets(store) for name, store in (("one", first), ("other", second))}
        if names["one"] != names["other"]:
            yield f"other datasets: {', '.join(sorted(names['one'] ^ names['other'])[:SHOWN])}"
        for name in sorted(names["one"] & names["other"]):
            yield from _arrays(name, np.asarray(first[name]), np.asarray(second[name]))


def _datasets(store: h5py.File) -> set[str]:
    found: set[str] = set()

    def seen(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            found.add(name)

    store.visititems(seen)
    return found


def _arrays(name: str, one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> Iterator[str]:
    said = f"{name}: " if name else ""
    if one.shape != other.shape:
        yield f"{said}shape {one.shape} against {other.shape}"
        return
    if not (np.issubdtype(one.dtype, np.number) and np.issubdtype(other.dtype, np.number)):
        unequal = int(np.count_nonzero(one.astype(str) != other.astype(str)))
        if unequal:
            yield f"{said}{unequal} of {one.size} values are others"
        return
    first, second = one.astype(np.float64), other.astype(np.float64)
    gap = np.abs(first - second)
    undefined = int(np.count_nonzero(np.isnan(first) != np.isnan(second)))
    largest = float(np.nanmax(gap)) if gap.size and not np.isnan(gap).all() else 0.0
    if undefined:
        yield f"{said}{undefined} values are undefined in one of the two"
    if largest > 0:
        scale = np.maximum(np.abs(first), np.abs(second))
        relative = float(np.nanmax(np.divide(gap, scale, out=np.zeros_like(gap), where=scale > 0)))
        n = int(np.count_nonzero(gap > 0))
        yield f"{said}{n} of {one.size} values differ, by at most {largest:.3g} (relative {relative:.3g})"
