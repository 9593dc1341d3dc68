"""Faults of embeddings: axes that say nothing, or nothing of their own."""

from collections.abc import Callable
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from stagewright.gates.places import embedding_file
from stagewright.gates.proving.fault_entry import DoesNotApply
from stagewright.gates.proving.spoiled_step import SpoiledStep
from stagewright.state.layout import replicate_folder
from stagewright.state.spec.reduction import NON_NEGATIVE
from stagewright.state.step_units import seeds_of

__all__ = [
    "collapsed_rank",
    "constant_axis",
    "dead_component",
    "duplicated_axis",
    "embedding_key",
    "infinite_loading",
    "not_a_number",
    "replicate_of",
    "shrunk_axis",
    "unused_component",
]

Change = Callable[[NDArray[np.float32]], object]
NONNEGATIVE = ("nmf", "cnmf")


def not_a_number(step: SpoiledStep) -> None:
    """Lose one value of one cell."""
    _change_scores(step, _lose_one)


def constant_axis(step: SpoiledStep) -> None:
    """Give all cells the same value on one axis."""
    _change_scores(step, _flatten)


def duplicated_axis(step: SpoiledStep) -> None:
    """Make one axis another one, turned over, stretched and shifted."""
    _change_scores(step, _repeat)


def collapsed_rank(step: SpoiledStep) -> None:
    """Make every axis the first one with some noise: none is a copy, and all say the same."""
    _change_scores(step, _collapse, least_k=3)


def dead_component(step: SpoiledStep) -> None:
    """Leave one component of a factorisation without any weight."""
    _change_scores(step, _fade, methods=NONNEGATIVE)


def shrunk_axis(step: SpoiledStep) -> None:
    """Shrink one axis to a ten-thousandth, which leaves it a dimension by name only."""
    signed = tuple(method for method in step.request.study.methods if method not in NON_NEGATIVE)
    if not signed:
        raise DoesNotApply(f"{step.asked.step} has no method but those without a sign")
    _change_scores(step, _shrink, methods=signed)


def unused_component(step: SpoiledStep) -> None:
    """Let one component of a factorisation make up less than a thousandth of each cell."""
    _change_scores(step, _leave_unused, least_k=3, methods=NONNEGATIVE)


def infinite_loading(step: SpoiledStep) -> None:
    """Let one gene's loading overflow."""
    if step.stage == "plan0":
        folder, _ = replicate_of(step)
        step.array(folder / "loadings.npy", _overflow)
        return
    path, name = embedding_key(step)
    name = f"varm/{name.removeprefix('obsm/X_')}_loadings"
    with step.h5ad(path) as file:
        if name not in file:
            raise DoesNotApply(f"{step.asked.step} keeps no loadings of its first method")
        array = file[name][()]
        _overflow(array)
        file[name][...] = array


def replicate_of(
    step: SpoiledStep, *, least_k: int = 2, methods: tuple[str, ...] = (), least_seeds: int = 1
) -> tuple[PurePosixPath, tuple[str, int, int]]:
    """Return the folder of a replicate that Plan 0 wrote, with its method, K and number: the last of the largest K.

    Raises
    ------
    DoesNotApply
        When there is none with enough axes, by one of the methods, or with enough replicates beside it.
    """
    study = step.request.study
    for method, ks in study.ks.items():
        seeds = seeds_of(study, method)
        if (methods and method not in methods) or len(seeds) < least_seeds:
            continue
        for k in sorted(ks, reverse=True):
            folder = replicate_folder(step.request.checkpoint, method, k, seeds[-1])
            if k >= least_k and step.has(folder / "scores.npy"):
                return folder, (method, k, seeds[-1])
    wanted = f"of {' or '.join(methods)} " if methods else ""
    raise DoesNotApply(f"{step.asked.step} has no replicate {wanted}with K {least_k} and {least_seeds} seeds or more")


def embedding_key(step: SpoiledStep, *, least_k: int = 2, methods: tuple[str, ...] = ()) -> tuple[PurePosixPath, str]:
    """Return an AnnData file that the step wrote, and the name of an embedding in it.

    Raises
    ------
    DoesNotApply
        When the step reads another one's embeddings, or has none with enough axes or by one of the methods.
    """
    for entry in step.request.study.preprocess:
        path = embedding_file(step.request.checkpoint, entry.tag)
        if not step.has(path):
            raise DoesNotApply(f"{step.asked.step} reads the embeddings of an earlier step")
        for method in step.request.study.methods:
            if (not methods or method in methods) and step.request.k_by_method.get(method, 0) >= least_k:
                return path, f"obsm/X_{method}"
    wanted = f" of {' or '.join(methods)}" if methods else ""
    raise DoesNotApply(f"{step.asked.step} has no embedding{wanted} with K {least_k} or more")


def _change_scores(step: SpoiledStep, change: Change, *, least_k: int = 2, methods: tuple[str, ...] = ()) -> None:
    if step.stage == "plan0":
        folder, _ = replicate_of(step, least_k=least_k, methods=methods)
        step.array(folder / "scores.npy", change)
        return
    path, name = embedding_key(step, least_k=least_k, methods=methods)
    with step.h5ad(path) as file:
        array = file[name][()]
        change(array)
        file[name][...] = array


def _lose_one(array: NDArray[np.float32]) -> None:
    array[0, 1] = np.nan


def _flatten(array: NDArray[np.float32]) -> None:
    array[:, 1] = 0.37


def _repeat(array: NDArray[np.float32]) -> None:
    array[:, 1] = 1 - 2 * array[:, 0]


def _collapse(array: NDArray[np.float32]) -> None:
    noise = np.random.default_rng(0).normal(size=array.shape)
    array[:] = array[:, :1] + 0.15 * array[:, 0].std() * noise  # |r| of two axes near 0.98


def _fade(array: NDArray[np.float32]) -> None:
    array[:, 1] *= 1e-7


def _shrink(array: NDArray[np.float32]) -> None:
    array[:, 1] *= 1e-4


def _leave_unused(array: NDArray[np.float32]) -> None:
    array[:, 1] = 1e-3 * np.delete(array, 1, axis=1).mean(axis=1)


def _overflow(array: NDArray[np.float32]) -> None:
    array[0, 0] = np.inf
