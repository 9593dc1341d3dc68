"""Bi-cross-validation: predict one half of the genes of held-out cells from the other half.

After Owen & Perry (2009, Ann. Appl. Stat. 3:564): neither the held-out cells nor, in each of the two turns, the genes
that are predicted take part in estimating the scores, so that a component which describes noise predicts nothing. The
components come from the training cells and all genes. Whatever the method, the errors are measured on one scale.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from stagewright.stages.reduction.nonnegative_scores import Loss, nonnegative_scores
from stagewright.stages.reduction.reduction import Float32Array, Reduction
from stagewright.stages.reduction.standardise import Float64Array
from stagewright.stages.reduction.view import View
from stagewright.stages.stability.factor_model import FactorModel, factor_model
from stagewright.stages.stability.held_out_errors import HeldOutErrors
from stagewright.stages.stability.hold_out import HeldOutCells
from stagewright.state.spec.reduction import NON_NEGATIVE

__all__ = ["HeldOutFigures", "held_out_figures"]

BLOCK_CELLS = 1024
_Predict = Callable[[sparse.csr_matrix | None, Float32Array], Float32Array]
"""From cells, and their deviations from the training means, to the other half of these, on the errors' scale."""


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
    genes = _Genes.in_halves(training, scale, split.first_half)
    model = None if reduction.method in NON_NEGATIVE else factor_model(reduction, training.n_varying)
    predictors = [
        _non_negative(reduction, genes, known, unknown)
        if model is None
        else _linear(model.restricted(genes.order), genes, known, unknown)
        for known, unknown in genes.turns
    ]
    log_likelihood_of = None if model is None else _log_likelihood(model.restricted(genes.order), genes)
    scales = genes.scale.astype(np.float32)
    errors, totals, log_likelihood = [], [], 0.0
    for block, deviations in _blocks(cells, genes):
        if log_likelihood_of is not None:
            log_likelihood += float(log_likelihood_of(deviations).sum())
        left = deviations * scales
        totals.append(np.einsum("ij,ij->i", left, left).astype(np.float64))
        for (_, unknown), predict in zip(genes.turns, predictors, strict=True):
            left[:, unknown] -= predict(block, deviations)
        errors.append(np.einsum("ij,ij->i", left, left).astype(np.float64))
    names, group, counts = np.unique(split.groups.astype(str), return_inverse=True, return_counts=True)
    sums = [np.bincount(group, weights=np.concatenate(part), minlength=names.size) for part in (errors, totals)]
    return HeldOutFigures(
        names=tuple(map(str, names)),
        n_cells=tuple(map(int, counts)),
        errors=HeldOutErrors(*(tuple(map(float, part)) for part in sums)),
        log_likelihood=None if log_likelihood_of is None else log_likelihood / cells.shape[0],
    )


@dataclass(frozen=True, slots=True)
class _Genes:
    """The genes with the first half in front, so that both halves are slices; arrays of shape (n_genes,)."""

    order: npt.NDArray[np.intp]
    turns: tuple[tuple[slice, slice], tuple[slice, slice]]
    mean: Float64Array
    sd: Float64Array
    inverse_sd: Float64Array
    scale: Float64Array

    @classmethod
    def in_halves(cls, training: View, scale: Float64Array, first_half: npt.NDArray[np.bool_]) -> "_Genes":
        order = np.argsort(~first_half, kind="stable")
        first, second = slice(int(first_half.sum())), slice(int(first_half.sum()), None)
        arrays = (array[order] for array in (training.mean, training.sd, training.inverse_sd, scale))
        return cls(order, ((first, second), (second, first)), *arrays)


def _blocks(cells: sparse.csr_matrix | View, genes: _Genes) -> Iterator[tuple[sparse.csr_matrix | None, Float32Array]]:
    """Yield blocks of the cells, sparse where they are, with their deviations from the training cells' means."""
    if not sparse.issparse(cells):
        sd = genes.sd.astype(np.float32)
        for z in cells.dense_blocks(BLOCK_CELLS):
            yield None, z[:, genes.order] * sd
        return
    matrix: sparse.csr_matrix = cells
    mean = genes.mean.astype(np.float32)
    for start in range(0, matrix.shape[0], BLOCK_CELLS):
        block = sparse.csr_matrix(matrix[start : start + BLOCK_CELLS][:, genes.order], dtype=np.float32)
        yield block, block.toarray() - mean


def _linear(model: FactorModel, genes: _Genes, known: slice, unknown: slice) -> _Predict:
    weights = genes.inverse_sd[known, None] * model.restricted(known).posterior_weights()
    loadings = (genes.sd * genes.scale)[unknown, None] * model.loadings[unknown]
    inwards: Float32Array = weights.astype(np.float32)
    outwards: Float32Array = loadings.T.astype(np.float32)

    def predict(_: sparse.csr_matrix | None, deviations: Float32Array) -> Float32Array:
        return np.asarray((deviations[:, known] @ inwards) @ outwards, dtype=np.float32)

    return predict


def _log_likelihood(model: FactorModel, genes: _Genes) -> Callable[[Float32Array], Float64Array]:
    varying = genes.inverse_sd > 0
    likelihood = model.restricted(varying).likelihood()
    scale, whitened = np.zeros_like(genes.sd), np.zeros(model.loadings.shape)
    scale[varying] = genes.inverse_sd[varying] / likelihood.deviations
    whitened[varying] = likelihood.whitened * scale[varying, None]
    scale32, whitened32 = scale.astype(np.float32), whitened.astype(np.float32)

    def of(deviations: Float32Array) -> Float64Array:
        scaled, within = deviations * scale32, deviations @ whitened32
        distance = np.einsum("ij,ij->i", scaled, scaled).astype(np.float64) - np.square(within).sum(axis=1)
        result: Float64Array = -(likelihood.constant + distance) / 2
        return result

    return of


def _non_negative(reduction: Reduction, genes: _Genes, known: slice, unknown: slice) -> _Predict:
    loss: Loss = "kullback-leibler" if reduction.extras["loss"] == "kullback-leibler" else "frobenius"
    ones = np.ones_like(genes.sd)
    inverse_sd, sd = (genes.inverse_sd, genes.sd) if reduction.extras["scaled"] else (ones, ones)
    loadings = reduction.loadings[genes.order]
    # A gene that is constant among the training cells has no loadings; what is known of it is its mean.
    scale = np.where(genes.inverse_sd > 0, genes.scale, 0.0)[unknown]
    outwards = ((sd[unknown] * scale)[:, None] * loadings[unknown]).T.astype(np.float32)
    mean = (genes.mean[unknown] * scale).astype(np.float32)

    def predict(cells: sparse.csr_matrix | None, _: Float32Array) -> Float32Array:
        if cells is None:
            raise TypeError("non-negative scores need the cells as a sparse matrix, not as a standardised view")
        here = sparse.csr_matrix(cells[:, known])
        scores, _n = nonnegative_scores(here, loadings[known], loss, inverse_sd[known])
        predicted: Float32Array = scores.astype(np.float32) @ outwards - mean
        return predicted

    return predict
