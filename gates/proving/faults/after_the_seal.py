"""Faults after the seal: files of a run directory that somebody has changed since."""

import shutil
from pathlib import Path

from stagewright.gates.proving.fault_entry import DoesNotApply
from stagewright.gates.proving.spoiled_step import SpoiledStep
from stagewright.state.artifacts import read_outcome
from stagewright.state.run_copy import own_file

__all__ = ["add", "cut_short", "delete", "edit_outcome", "edit_request", "edit_upstream", "flip_bit", "link", "replace"]


def cut_short(step: SpoiledStep) -> None:
    """Take the last byte away."""
    place = own_file(_largest(step))
    with place.open("r+b") as file:
        file.truncate(place.stat().st_size - 1)


def flip_bit(step: SpoiledStep) -> None:
    """Change one bit and nothing about the size."""
    _flip(own_file(_largest(step)))


def replace(step: SpoiledStep) -> None:
    """Put another file of the step in the place of one of the same format."""
    by_format: dict[str, list[str]] = {}
    for artifact in step.outcome.artifacts:
        same = by_format.setdefault(artifact.format, [])
        same.append(artifact.path)
        other = next(item for item in step.outcome.artifacts if item.path == same[0])
        if other.sha256 != artifact.sha256:
            (step.run / artifact.path).unlink()
            shutil.copyfile(step.run / other.path, step.run / artifact.path)
            return
    raise DoesNotApply(f"{step.asked.step} has no two different files of one format")


def delete(step: SpoiledStep) -> None:
    """Delete a file that was sealed."""
    _largest(step).unlink()


def link(step: SpoiledStep) -> None:
    """Put a symbolic link in the place of a file: behind it, the file could change unseen."""
    place = _largest(step)
    elsewhere = step.run / "elsewhere"
    place.rename(elsewhere)
    place.symlink_to(elsewhere)


def add(step: SpoiledStep) -> None:
    """Leave a file beside the results that no step declared."""
    (_largest(step).parent / "better_results.csv").write_text("auc\n1.0\n", encoding="utf-8")


def edit_outcome(step: SpoiledStep) -> None:
    """Raise every metric in `outcome.json`, and its number of cells."""
    raised = {name: value + 0.01 for name, value in step.outcome.metrics.items()}
    edited = step.outcome.model_copy(update={"metrics": raised, "n_cells": (step.outcome.n_cells or 0) + 1})
    path = own_file(step.run / step.asked.artifacts.outcome)
    path.write_text(edited.model_dump_json(exclude_none=True), encoding="utf-8")


def edit_request(step: SpoiledStep) -> None:
    """Loosen a threshold in the sealed request of the attempt."""
    edited = step.request.model_copy(update={"gates": step.request.gates | {"duplicate_axes": {"at_most": 1.0}}})
    own_file(step.run / step.asked.request).write_text(edited.model_dump_json(), encoding="utf-8")


def edit_upstream(step: SpoiledStep) -> None:
    """Change a file that an earlier step of the checkpoint had sealed and that this one may have read."""
    for sealed in step.request.upstream.values():
        for artifact in read_outcome(step.run, sealed).artifacts:
            _flip(own_file(step.run / artifact.path))
            return
    raise DoesNotApply(f"{step.asked.step} is the first step of its checkpoint")


def _largest(step: SpoiledStep) -> Path:
    if not step.outcome.artifacts:
        raise DoesNotApply(f"{step.asked.step} wrote no file")
    return step.run / max(step.outcome.artifacts, key=lambda artifact: artifact.bytes).path


def _flip(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)[0]
        file.seek(-1, 2)
        file.write(bytes([last ^ 1]))
