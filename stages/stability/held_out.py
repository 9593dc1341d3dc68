"""Bi-cross-validation: predict one half of the genes of held-out cells from the other half.

After Owen & Perry (2009, Ann. Appl. Stat. 3:564): neither the held-out cells nor, in each of the two turns, the genes
that are predicted take part in estimating the scores, so that a component which describes noise predicts nothing. The
components come from the training cells and all genes. Whatever the method, the errors are measured on one scale.
"""

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from stagewright.stages.reduction.nonnegative_scores import Loss, nonnegative_scores
from stagewright.stages.reduction.reduction import Reduction
from stagewright.stages.reduction.standardise import Float64Array
from stagewright.stages.reduction.view import View
from stagewright.stages.stability.factor_model import FactorModel, factor_model
from stagewright.stages.stability.held_out_errors import HeldOutErrors

__all__ = ["PREDICTS", "HeldOutCells", "HeldOutFigures", "held_out_figures", "hold_out"]

BLOCK_CELLS = 1024
FEWEST_PATIENTS = 3
N_BLOCKS = 10
NON_NEGATIVE = ("nmf", "cnmf")
PREDICTS = ("pca", "fa", *NON_NEGATIVE)
"""Methods with a linear model of the genes."""

_Predict = Callable[[sparse.csr_matrix | None, Float64Array], Float64Array]
"""From cells and their standardised values to the other half of their genes, as deviations from the training means."""


@dataclass(frozen=True, slots=True)
class HeldOutCells:
    """A split of cells and genes.

    Attributes
    ----------
    held_out
        Whether a cell is held out, shape (n_cells,).
    groups
        Group of each held-out cell, shape (n_held_out,): its patient or, with fewer than three patients, one of ten
        random blocks of cells.
    grouped_by
        "patient" or "block".
    first_half
        Whether a gene is of the first half, shape (n_genes,).
    """

    held_out: npt.NDArray[np.bool_]
    groups: npt.NDArray[np.object_]
    grouped_by: str
    first_half: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class HeldOutFigures:
    """How well a fit describes cells that it has not seen.

    Attributes
    ----------
    names, n_cells
        The groups of cells and their sizes.
    errors
        Squared errors and totals of the groups, in their order.
    log_likelihood
        Mean log-likelihood of a held-out cell in nats, over the genes that vary among the training cells, on their
        standardised scale; higher is better. None for a method without a likelihood.
    """

    names: tuple[str, ...]
    n_cells: tuple[int, ...]
    errors: HeldOutErrors
    log_likelihood: float | None


def hold_out(patients: pd.Series, n_genes: int, *, fraction: float, seed: int) -> HeldOutCells:
    """Draw the share of each patient's cells that is held out, and the half of the genes that predicts first.

    A patient's draw depends on the seed and on its own name and number of cells alone.
    """
    held_out = np.zeros(len(patients), dtype=np.bool_)
    for patient, found in patients.groupby(patients, observed=True).indices.items():
        rows = np.asarray(found, dtype=np.intp)
        rng = np.random.default_rng([seed, zlib.crc32(str(patient).encode())])
        held_out[rng.permutation(rows)[: int(fraction * rows.size + 0.5)]] = True
    rng = np.random.default_rng([seed, n_genes])
    first_half = np.zeros(n_genes, dtype=np.bool_)
    first_half[rng.permutation(n_genes)[: n_genes // 2]] = True
    groups = patients.to_numpy(dtype=object)[held_out]
    if len(set(groups)) >= FEWEST_PATIENTS:
        return HeldOutCells(held_out, groups, "patient", first_half)
    blocks = rng.permutation(groups.size) % N_BLOCKS
    return HeldOutCells(held_out, np.array([f"block_{one}" for one in blocks], dtype=object), "block", first_half)


def held_out_figures(
    reduction: Reduction, training: View, cells: sparse.csr_matrix | View, scale: Float64Array, split: HeldOutCells
) -> HeldOutFigures:
    """Predict each half of the genes of held-out cells from the other half.

    Scores are estimated as fits the method: for pca and fa their expectation given the known half under the
    probabilistic model (for pca that of Tipping & Bishop 1999, J. R. Stat. Soc. B 61:611), for nmf and cnmf the
    non-negative scores with the least of the fit's own loss on the known half.

    Parameters
    ----------
    reduction
        A fit of the training cells.
    training
        The standardised view that it was fitted to.
    cells
        Held-out cells, CSR of shape (n_held_out, n_genes), as the training cells before they are standardised; or,
        for pca and fa, a view of them that is standardised as the training cells are.
    scale
        1 / sd of each gene over all cells of the study, shape (n_genes,), 0 for a constant gene: the errors'
        scale, on which each gene weighs the same.
    split
        Groups of the held-out cells, and the halves of the genes.

    Raises
    ------
    ValueError
        The method has no linear model, or the sums over the held-out cells are of no use.
    """
    halves = (split.first_half, ~split.first_half)
    varying = training.inverse_sd > 0
    model = None if reduction.method in NON_NEGATIVE else factor_model(reduction, training.n_varying)
    likelihood = None if model is None else model.restricted(varying).likelihood()
    predictors = [
        _non_negative(reduction, training, known) if model is None else _linear(model, training, known)
        for known in halves
    ]
    errors, totals, log_likelihood = [], [], 0.0
    for block, deviations in _blocks(cells, training):
        z = deviations * training.inverse_sd
        predicted = np.zeros_like(deviations)
        for known, predict in zip(halves, predictors, strict=True):
            predicted[:, ~known] = predict(block, z)
        errors.append(np.square((deviations - predicted) * scale).sum(axis=1))
        totals.append(np.square(deviations * scale).sum(axis=1))
        if likelihood is not None:
            log_likelihood += float(likelihood.of(z[:, varying]).sum())
    names, group, counts = np.unique(split.groups.astype(str), return_inverse=True, return_counts=True)
    sums = [np.bincount(group, weights=np.concatenate(part), minlength=names.size) for part in (errors, totals)]
    return HeldOutFigures(
        names=tuple(map(str, names)),
        n_cells=tuple(map(int, counts)),
        errors=HeldOutErrors(*(tuple(map(float, part)) for part in sums)),
        log_likelihood=None if likelihood is None else log_likelihood / cells.shape[0],
    )


def _blocks(cells: sparse.csr_matrix | View, training: View) -> Iterator[tuple[sparse.csr_matrix | None, Float64Array]]:
    """Yield blocks of the cells, sparse where they are, with their deviations from the training cells' means."""
    if not sparse.issparse(cells):
        for z in cells.dense_blocks(BLOCK_CELLS):
            yield None, z.astype(np.float64) * training.sd
        return
    matrix: sparse.csr_matrix = cells
    for start in range(0, matrix.shape[0], BLOCK_CELLS):
        block = sparse.csr_matrix(matrix[start : start + BLOCK_CELLS])
        yield block, block.toarray().astype(np.float64) - training.mean


def _linear(model: FactorModel, training: View, known: npt.NDArray[np.bool_]) -> _Predict:
    weights, loadings = model.restricted(known).posterior_weights(), model.loadings[~known]
    sd = training.sd[~known]

    def predict(_: sparse.csr_matrix | None, z: Float64Array) -> Float64Array:
        predicted: Float64Array = (z[:, known] @ weights) @ loadings.T * sd
        return predicted

    return predict


def _non_negative(reduction: Reduction, training: View, known: npt.NDArray[np.bool_]) -> _Predict:
    loss: Loss = "kullback-leibler" if reduction.extras["loss"] == "kullback-leibler" else "frobenius"
    ones = np.ones_like(training.sd)
    scale, sd = (training.inverse_sd, training.sd[~known]) if reduction.extras["scaled"] else (ones, ones[~known])
    loadings, mean = reduction.loadings[~known].astype(np.float64), training.mean[~known]
    varying = training.inverse_sd[~known] > 0
    columns = np.flatnonzero(known)

    def predict(cells: sparse.csr_matrix | None, _: Float64Array) -> Float64Array:
        if cells is None:
            raise TypeError("non-negative scores need the cells as a sparse matrix, not as a standardised view")
        here = sparse.csr_matrix(cells[:, columns])
        scores, _n = nonnegative_scores(here, reduction.loadings[known], loss, scale[known])
        # A gene that is constant among the training cells has no loadings; what is known of it is its mean.
        return np.where(varying, scores @ loadings.T * sd - mean, 0.0)

    return predict
