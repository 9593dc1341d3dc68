"""Faults of files that a step owes: never written, or not what was asked for."""

from pathlib import PurePosixPath

import numpy as np

from stagewright.gates.left_out import left_out
from stagewright.gates.owed_units import grid
from stagewright.gates.promises import promises
from stagewright.gates.proving.fault_entry import DoesNotApply
from stagewright.gates.proving.faults.axes import embedding_key, replicate_of
from stagewright.gates.proving.spoiled_step import SpoiledStep
from stagewright.state.layout import grid_cell

__all__ = [
    "narrow_embedding",
    "no_column",
    "no_replicate",
    "no_table",
    "short_embedding",
    "torn_table",
    "unnamed_failure",
]


def unnamed_failure(step: SpoiledStep) -> None:
    """Leave a unit's files unwritten without a word about its failure."""
    if step.stage == "plan0":
        no_replicate(step)
        return
    for tag, method in grid(step.request, left_out(step.context)):
        folder = str(grid_cell(step.request.checkpoint, step.stage, tag, method))
        files = [artifact.path for artifact in step.outcome.artifacts if artifact.path.startswith(f"{folder}/")]
        step.remove(*files)
        return
    raise DoesNotApply(f"{step.asked.step} owes no cell of a grid")


def no_table(step: SpoiledStep) -> None:
    """Leave a table that the request asks for unwritten."""
    step.remove(_owed_table(step))


def no_column(step: SpoiledStep) -> None:
    """Write a table without one of the columns that were promised."""
    path = _owed_table(step)
    step.csv(path, lambda table: table.drop(columns=_promised_columns(step, path)[-1]))


def torn_table(step: SpoiledStep) -> None:
    """End a table within a row, as a process does that dies while it writes."""
    path = step.own(_owed_table(step))
    content = path.read_bytes()
    path.write_bytes(content[: content.rstrip(b"\n").rfind(b",")])


def no_replicate(step: SpoiledStep) -> None:
    """Leave the files of one replicate unwritten."""
    folder, _ = replicate_of(step)
    inside = f"{folder}/"
    step.remove(*(artifact.path for artifact in step.outcome.artifacts if artifact.path.startswith(inside)))


def narrow_embedding(step: SpoiledStep) -> None:
    """Write an embedding with K - 1 axes under the name of K."""
    if step.stage == "plan0":
        folder, _ = replicate_of(step)
        _cut(step, folder / "scores.npy", axis=1)
        return
    path, name = embedding_key(step)
    with step.h5ad(path) as file:
        narrow = file[name][:, :-1]
        del file[name]
        file[name] = narrow


def short_embedding(step: SpoiledStep) -> None:
    """Write the scores of all cells but one."""
    folder, _ = replicate_of(step)
    _cut(step, folder / "scores.npy", axis=0)


def _cut(step: SpoiledStep, path: PurePosixPath, axis: int) -> None:
    place = step.own(path)
    array = np.load(place)
    np.save(place, np.delete(array, -1, axis=axis))


def _owed_table(step: SpoiledStep) -> str:
    for promise in promises(step.request, left_out(step.context)):
        if promise.format == "csv" and len(promise.columns) > 1 and step.has(promise.path):
            return promise.path
    raise DoesNotApply(f"{step.asked.step} owes no table")


def _promised_columns(step: SpoiledStep, path: str) -> tuple[str, ...]:
    return next(item.columns for item in promises(step.request, left_out(step.context)) if item.path == path)
