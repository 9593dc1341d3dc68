"""How much memory a step is expected to need at its peak: arithmetic on sizes, without touching the data.

The terms are those arrays of each stage that grow with the data: the sparse counts and their log-normalised copy, what
the fits of one matrix share, and what each of the fits side by side holds. Constants are bytes for each stored value;
they are read off the code of the stages, so the absolute figure is rough: Plan 0 on 14,400 cells x 10,000 genes peaked
at 0.86 to 1.02 of it over six sweeps, a third to two thirds of which is the interpreter. What error handlers use is its
ratio between two studies, which the measured peak of the failed attempt then calibrates.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from stagewright.state.spec.effective import EffectiveStudy
from stagewright.state.spec.preprocess import AllFiltered, Preprocess
from stagewright.state.spec.reduction import SEED_INVARIANT, Method

__all__ = ["DataSize", "expected_genes", "peak_memory_bytes"]

INTERPRETER = 350 * 2**20
"""Python with anndata, scanpy, numba and scikit-learn loaded."""
SPARSE = 8
"""One stored value as float32 with its int32 column."""
DOUBLE, SINGLE = 8, 4
BLOCK_CELLS = 2048
DENSE_SHARE = 0.3
"""From this share of the smaller side on, exact PCA takes the Gram matrix."""
KRYLOV_BLOCKS = 20
"""Blocks of float32 vectors in a factor analysis: basis and images of five blocks, and both once more while joined."""
VARIABLE_GENES_DENSITY = 2.0
"""Highly variable genes are seen in more cells than the average gene."""
KEPT_AT_ONE_PERCENT = 0.5
"""About this share of the genes is detected in at least 1 % of the cells; four times the bound halves it."""


@dataclass(frozen=True, slots=True)
class DataSize:
    """The cells and genes of the loaded cohort, and the stored values of its counts."""

    n_cells: int
    n_genes: int
    n_nonzero: int


def expected_genes(entry: Preprocess, n_genes: int) -> int:
    """Return about how many of the genes a preprocess keeps; exact for a number of highly variable genes."""
    if isinstance(entry, AllFiltered):
        share = min(1.0, KEPT_AT_ONE_PERCENT * math.sqrt(0.01 / entry.min_cells_fraction))
        return max(2, round(n_genes * share))
    wanted: int = getattr(entry, "n_top_genes", n_genes)
    return min(wanted, n_genes)


def peak_memory_bytes(
    stage: str,
    study: EffectiveStudy,
    k_by_method: Mapping[str, int],
    size: DataSize,
    *,
    workers: int,
    embedded: bool = False,
) -> int | None:
    """Return about how much memory the worker of a step holds at its peak.

    Parameters
    ----------
    k_by_method
        K chosen by Plan 0, for the stages after it.
    workers
        Units run side by side.
    embedded
        Whether an earlier step has sealed the embeddings, so that this one only reads them.

    Returns
    -------
    In bytes; None for a stage whose arrays are not known, such as an operator's command.
    """
    if stage == "plan0":
        return INTERPRETER + 3 * SPARSE * size.n_nonzero + _sweep(study, size, workers)
    if stage not in ("plan1a", "plan1b", "plan2"):
        return None
    ks = [k_by_method[method] for method in study.methods if method in k_by_method]
    scores = size.n_cells * (sum(ks) * SINGLE + max(ks, default=2) * DOUBLE * 3)
    decisions = size.n_cells * len(study.alphas) * study.repeats * DOUBLE  # every decision is kept
    if stage == "plan1b":
        scores += decisions
    if stage == "plan2":
        return INTERPRETER + _permuted(study, k_by_method, size, workers, scores, decisions)
    if embedded:
        return INTERPRETER + scores
    chosen: dict[Method, tuple[int, ...]] = {
        method: (k_by_method[method],) for method in study.methods if method in k_by_method
    }
    fits = (_fits(entry, chosen, 1, size, workers) for entry in study.preprocess)
    return INTERPRETER + 3 * SPARSE * size.n_nonzero + scores + max(fits, default=0)


def _permuted(
    study: EffectiveStudy,
    k_by_method: Mapping[str, int],
    size: DataSize,
    workers: int,
    scores: int,
    decisions: int,
) -> int:
    """Return what Plan 2 holds: a cell of the grid for each worker, and the fits on the genes of permuted labels."""
    cells = scores + workers * (decisions if "plan1b" in study.mirrored else 0)
    chosen: dict[Method, tuple[int, ...]] = {
        method: (k_by_method[method],) for method in study.methods if method in k_by_method
    }
    fits = [_fits(entry, chosen, 1, size, workers) for entry in study.preprocess if entry.supervised]
    return cells + (3 * SPARSE * size.n_nonzero + max(fits) if fits else 0)


def _sweep(study: EffectiveStudy, size: DataSize, workers: int) -> int:
    genes = expected_genes(study.reference, size.n_genes)
    kept = sum(k for ks in study.ks.values() for k in ks) * len(study.seeds) * genes * SINGLE
    return kept + _fits(study.reference, study.ks, len(study.seeds), size, workers)


def _fits(entry: Preprocess, ks: Mapping[Method, tuple[int, ...]], n_seeds: int, size: DataSize, workers: int) -> int:
    """Return what the fits on one preprocess hold: what they share, and the largest ones that run side by side."""
    genes = expected_genes(entry, size.n_genes)
    density = 1.0 if isinstance(entry, AllFiltered) else VARIABLE_GENES_DENSITY * genes / max(1, size.n_genes)
    nonzero = round(size.n_nonzero * min(1.0, density))
    shared = SPARSE * nonzero + 2 * DOUBLE * nonzero  # the matrix, and the moments of its genes while they are measured
    if "fa" in ks:
        shared += SINGLE * genes**2 + 2 * SINGLE * BLOCK_CELLS * genes
    each: list[int] = []
    for method, values in ks.items():
        if method in SEED_INVARIANT:
            each.append(_fit(method, max(values), size.n_cells, genes, nonzero))
        else:
            each += [_fit(method, k, size.n_cells, genes, nonzero) for k in values for _ in range(n_seeds)]
    return shared + sum(sorted(each, reverse=True)[:workers])


def _fit(method: str, k: int, n_cells: int, genes: int, nonzero: int) -> int:
    small = min(n_cells, genes)
    result = (DOUBLE + SINGLE) * k * (n_cells + genes)
    if method == "pca":
        exact = 3 * DOUBLE * small**2
        return result + (exact if k > DENSE_SHARE * small else DOUBLE * nonzero + DOUBLE * (2 * k + 1) * small)
    if method == "fa":
        block = min(genes, k + max(8, k // 4))
        return result + KRYLOV_BLOCKS * SINGLE * block * genes + 6 * DOUBLE * k * genes
    return result + SPARSE * nonzero + DOUBLE * k * (n_cells + genes)
