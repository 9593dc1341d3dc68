"""Find the embeddings of a step, and measure their axes over cells."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from stagewright.gates.places import embedding_file
from stagewright.gates.protocol import GateContext
from stagewright.state.layout import replicate_folder
from stagewright.state.step_units import seeds_of

__all__ = ["Axes", "Embedding", "measure_axes", "read_embeddings"]

BLOCK = 65_536
CONSTANT = 1e-6
"""A column with a standard deviation below this share of its largest value is constant: float32 keeps 7 digits."""


@dataclass(frozen=True, slots=True)
class Embedding:
    """Cells in the space of one method's components.

    Attributes
    ----------
    group
        What a finding is about when all is well, e.g. ``fa/k_20``: several seeds share one.
    subject
        What a finding is about when it is not, e.g. ``fa/k_20/seed_1``.
    scores
        Array of shape (n_cells, k).
    loadings
        Array of shape (n_genes, k), or None when the file has none.
    """

    group: str
    subject: str
    method: str
    scores: NDArray[np.floating]
    loadings: NDArray[np.floating] | None


@dataclass(frozen=True, slots=True)
class Axes:
    """What the columns of an embedding are like.

    Attributes
    ----------
    not_finite
        Values that are NaN or infinite, shape (k,).
    constant
        Whether the column is finite and does not vary, shape (k,).
    norm
        Euclidean length of each column, shape (k,); NaN where it is not finite.
    varying
        The columns that are finite and vary, shape (m,).
    correlation
        Pearson correlation of those over cells, shape (m, m).
    covariance
        Covariance of all columns over cells, shape (k, k); values that are not finite count as 0.
    """

    not_finite: NDArray[np.intp]
    constant: NDArray[np.bool_]
    norm: NDArray[np.float64]
    varying: NDArray[np.intp]
    correlation: NDArray[np.float64]
    covariance: NDArray[np.float64]


def read_embeddings(context: GateContext) -> Iterator[Embedding]:
    """Yield the embeddings that a step owes and that exist, one in memory at a time.

    What is missing or unreadable is left out: `promised_files` reports it.
    """
    if context.request.stage == "plan0":
        yield from _replicates(context)
    else:
        for entry in context.request.study.preprocess:
            path = context.run / embedding_file(context.request.checkpoint, entry.tag)
            if path.is_file():
                yield from _obsm(path, entry.tag, context.request.study.methods)


def measure_axes(scores: NDArray[np.floating]) -> Axes:
    """Measure the columns of an array of shape (n_cells, k), in blocks of cells and in double precision."""
    n_cells, k = scores.shape
    not_finite, total = np.zeros(k, dtype=np.intp), np.zeros(k)
    largest = np.zeros(k)
    for block in _blocks(scores):
        finite = np.isfinite(block)
        not_finite += (~finite).sum(axis=0)
        values = np.where(finite, block, 0.0)
        total += values.sum(axis=0)
        largest = np.maximum(largest, np.abs(values).max(axis=0, initial=0.0))
    mean, products = total / max(n_cells, 1), np.zeros((k, k))
    for block in _blocks(scores):
        centred = np.where(np.isfinite(block), block, 0.0) - mean
        products += centred.T @ centred
    squares = np.diag(products)
    deviation = np.sqrt(squares / max(n_cells, 1))
    constant = (not_finite == 0) & (deviation <= CONSTANT * largest)
    varying = np.flatnonzero((not_finite == 0) & ~constant)
    scale = np.sqrt(squares[varying])
    return Axes(
        not_finite=not_finite,
        constant=constant,
        norm=np.where(not_finite == 0, np.sqrt(squares + n_cells * mean**2), np.nan),
        varying=varying,
        correlation=products[np.ix_(varying, varying)] / np.outer(scale, scale),
        covariance=products / max(n_cells, 1),
    )


def _blocks(scores: NDArray[np.floating]) -> Iterator[NDArray[np.float64]]:
    for start in range(0, scores.shape[0], BLOCK):
        yield np.asarray(scores[start : start + BLOCK], dtype=np.float64)


def _replicates(context: GateContext) -> Iterator[Embedding]:
    request = context.request
    for method, ks in request.study.ks.items():
        for k in ks:
            for seed in seeds_of(request.study, method):
                folder = context.run / replicate_folder(request.checkpoint, method, k, seed)
                scores, loadings = _array(folder / "scores.npy"), _array(folder / "loadings.npy")
                if scores is not None:
                    yield Embedding(f"{method}/k_{k}", f"{method}/k_{k}/seed_{seed}", method, scores, loadings)


def _array(path: Path) -> NDArray[np.floating] | None:
    try:
        array: NDArray[np.floating] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        return None
    return array if array.ndim == 2 and array.dtype.kind == "f" else None  # noqa: PLR2004 - cells or genes, and components


def _obsm(path: Path, tag: str, methods: tuple[str, ...]) -> Iterator[Embedding]:
    with h5py.File(path, "r") as file:
        for method in methods:
            scores, loadings = file.get(f"obsm/X_{method}"), file.get(f"varm/{method}_loadings")
            if isinstance(scores, h5py.Dataset):
                known = loadings[()] if isinstance(loadings, h5py.Dataset) else None
                yield Embedding(f"{tag}/{method}", f"{tag}/{method}", method, scores[()], known)
