"""How much memory a step is expected to need at its peak: arithmetic on sizes, without touching the data.

The terms are those arrays of each stage that grow with the data: the sparse counts where they fit in memory, what the
fits of one matrix share, and what each of the fits side by side holds. Constants are bytes for each stored value; they
are read off the code of the stages, so the absolute figure is rough. What error handlers use is its ratio between two
studies, which the measured peak of the failed attempt then calibrates.
"""

import math
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

from stagewright.state.plan1c_models import models_of
from stagewright.state.spec.effective import EffectiveStudy
from stagewright.state.spec.preprocess import AllFiltered, DegWeakScreen, GeneList, Hvg, Hybrid, Preprocess, TwoStage
from stagewright.state.spec.reduction import SEED_INVARIANT, Method
from stagewright.state.step_units import has_twin, twin_refits

__all__ = ["DataSize", "expected_genes", "peak_memory_bytes"]

INTERPRETER = 350 * 2**20
"""Python with anndata, scanpy, numba and scikit-learn loaded."""
SPARSE = 8
"""One stored value as float32 with its int32 column."""
COUNTS_MOST = 2 * 2**30
"""Counts that take more than an eighth of the memory budget, 16 GiB where nothing is said, stay on the disk."""
PIECE = 2**22
"""Stored values that are looked at together where genes are measured."""
DOUBLE, SINGLE = 8, 4
PREDICTION = 100
"""One out-of-fold prediction as a row of a table: its numbers, its codes, and the same again while it is written."""
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
    """Return about how many of the genes a preprocess keeps; exact for a number of genes that the spec says.

    A weak screen keeps at most all genes that are detected in some cells, and nobody knows before how many: that is
    taken. A gene list may name any gene.
    """
    match entry:
        case AllFiltered():
            share = min(1.0, KEPT_AT_ONE_PERCENT * math.sqrt(0.01 / entry.min_cells_fraction))
            return max(2, round(n_genes * share))
        case DegWeakScreen():
            return min(n_genes, max(entry.min_genes, round(n_genes * KEPT_AT_ONE_PERCENT)))
        case Hvg() | Hybrid() | TwoStage():  # what a hybrid rescues is a few genes more
            return min(entry.n_top_genes, n_genes)
        case GeneList():
            return n_genes


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
        return INTERPRETER + _counts([study.reference], size) + _sweep(study, size, workers)
    if stage not in ("plan1a", "plan1b", "plan1c", "plan2"):
        return None
    ks = [k_by_method[method] for method in study.methods if method in k_by_method]
    scores = size.n_cells * (sum(ks) * SINGLE + max(ks, default=2) * DOUBLE * 3)
    decisions = size.n_cells * len(study.alphas) * study.repeats * DOUBLE  # every decision is kept
    if stage == "plan1c":
        scores += _benchmark(study, size)
    chosen: dict[Method, tuple[int, ...]] = {
        method: (k_by_method[method],) for method in study.methods if method in k_by_method
    }
    dense = study.normalisation.method == "pearson_residuals"
    if stage == "plan2":
        by_label = [entry for entry in study.preprocess if entry.supervised]
        fits = [_fits(entry, chosen, 1, size, workers, dense=dense) for entry in by_label]
        refits = _counts(by_label, size) + max(fits) if fits else 0
        held = workers * (decisions if "plan1b" in study.mirrored else 0)
        folds = _refolded(study, chosen, size, workers, decisions) if "plan1b" in study.mirrored else 0
        held += _benchmark(study, size) if "plan1c" in study.mirrored else 0
        return INTERPRETER + scores + held + max(refits, folds)
    twin = 0
    if stage == "plan1b":
        scores += decisions + _refolded(study, chosen, size, workers, decisions)
    if has_twin(stage, study):
        by_label = [entry for entry in study.preprocess if twin_refits(study, entry, stage)]
        fits = [_fits(entry, chosen, 1, size, workers, dense=dense) for entry in by_label]
        twin = _counts(by_label, size) + max(fits) if fits else 0
    if embedded:
        return INTERPRETER + scores + twin
    fitted = max((_fits(entry, chosen, 1, size, workers, dense=dense) for entry in study.preprocess), default=0)
    return INTERPRETER + _counts(study.preprocess, size) + scores + fitted


def _refolded(
    study: EffectiveStudy, ks: Mapping[Method, tuple[int, ...]], size: DataSize, workers: int, decisions: int
) -> int:
    """Return what the refits of CV scope `pipeline` hold: the counts, each worker's fold, every method's decisions."""
    if study.scope != "pipeline":
        return 0
    dense = study.normalisation.method == "pearson_residuals"
    fold = max(_fits(entry, ks, 1, size, 1, dense=dense) for entry in study.preprocess)
    each = 2 * SPARSE * size.n_nonzero + fold  # its cells of all genes, and what of them is being selected
    return SPARSE * size.n_nonzero + workers * each + len(study.methods) * len(study.penalties) * decisions


def _benchmark(study: EffectiveStudy, size: DataSize) -> int:
    """Return what Plan 1C holds: every decision of a mode's penalties, and the predictions at the chosen strengths."""
    models = models_of(study)
    side_by_side = len(models) // (len(study.modes) * len(study.downsampling))
    decisions = size.n_cells * len(study.alphas) * study.repeats * DOUBLE * side_by_side
    return decisions + size.n_cells * study.repeats * len(models) * PREDICTION


def _counts(entries: Iterable[Preprocess], size: DataSize) -> int:
    """Return what the counts hold, and in a label screen their normalised copies, by cells and by genes."""
    copies = 3 if any(isinstance(entry, DegWeakScreen | TwoStage) for entry in entries) else 1
    return copies * min(SPARSE * size.n_nonzero, COUNTS_MOST) + 4 * DOUBLE * min(size.n_nonzero, PIECE)


def _sweep(study: EffectiveStudy, size: DataSize, workers: int) -> int:
    genes = expected_genes(study.reference, size.n_genes)
    kept = sum(k for ks in study.ks.values() for k in ks) * len(study.seeds) * genes * SINGLE
    dense = study.normalisation.method == "pearson_residuals"
    # A bootstrap sample has a matrix of its own, as have the training cells; when one follows another, both are there.
    matrices = 2 if study.replicates != "seed" else min(1, study.held_out is not None)
    own = matrices * _shared(genes, _nonzero(study.reference, genes, size), study.ks, dense=dense)
    return kept + own + _fits(study.reference, study.ks, len(study.seeds), size, workers, dense=dense)


def _nonzero(entry: Preprocess, genes: int, size: DataSize) -> int:
    widely_seen = isinstance(entry, AllFiltered | DegWeakScreen | GeneList)
    density = 1.0 if widely_seen else VARIABLE_GENES_DENSITY * genes / max(1, size.n_genes)
    return round(size.n_nonzero * min(1.0, density))


def _shared(genes: int, nonzero: int, methods: Container[Method], *, dense: bool) -> int:
    """Return what the fits of one matrix share: the matrix, the moments of its genes while they are measured."""
    shared = SPARSE * nonzero + 3 * DOUBLE * min(nonzero, PIECE)
    if dense:  # blocks of residuals, and the Gram matrix of principal components
        shared += 3 * DOUBLE * BLOCK_CELLS * genes + (DOUBLE * genes**2 if "pca" in methods else 0)
    return shared + (SINGLE * genes**2 + 2 * SINGLE * BLOCK_CELLS * genes if "fa" in methods else 0)


def _fits(
    entry: Preprocess,
    ks: Mapping[Method, tuple[int, ...]],
    n_seeds: int,
    size: DataSize,
    workers: int,
    *,
    dense: bool,
) -> int:
    """Return what the fits on one preprocess hold: what they share, and the largest ones that run side by side."""
    genes = expected_genes(entry, size.n_genes)
    nonzero = _nonzero(entry, genes, size)
    shared = _shared(genes, nonzero, ks, dense=dense)
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
