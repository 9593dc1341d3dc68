"""Score one embedding under many labellings of the same cells: one Newton step of the logistic path, out of fold.

The first Newton step of a balanced logistic path from 0 minimises n / 4 times half of w'Sw minus w'(m1 - m0), plus the
penalty, where m1 and m0 are the means of the classes and S the mean of their second moments. Here S is that of all
training cells, which no labelling changes: so all labellings share it, and a path costs a few sweeps over a small
matrix. This is sparse linear discriminant analysis (Mai, Zou and Yuan, 2012, Biometrika 99:29), at the strengths of the
logistic path.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stagewright.stages.search_permutation.search_kernel import sparse_paths_kernel, within_kernel

__all__ = ["one_step_auc"]

_Floats = NDArray[np.float64]
_Labels = NDArray[np.bool_]

BLOCK = 1 << 22
"""Decisions held at a time: 32 MB."""
NO_SPREAD = 1e-12
"""A feature whose variance over the training cells is this small a share of that over all cells is constant there."""


@dataclass(frozen=True, slots=True)
class _Fold:
    """The cells left out of one fold, and the training cells' moments.

    Attributes
    ----------
    cells
        Places of the cells left out, shape (n_test,).
    mean, inverse
        Mean of each feature and the inverse of its standard deviation, 0 where it is constant, shape (p,).
    gram
        Correlations of the features, shape (p, p).
    """

    cells: NDArray[np.intp]
    n_train: int
    mean: _Floats
    inverse: _Floats
    gram: _Floats


def one_step_auc(
    x: _Floats,
    labels: _Labels,
    folds: NDArray[np.int64],
    stratum: NDArray[np.int64],
    alphas: _Floats,
    l1_ratio: float,
) -> _Floats:
    """Return the AUC over pairs of cells of one stratum, by labelling and strength, shape (n_labellings, m).

    Parameters
    ----------
    x
        Features, shape (n, p), finite.
    labels
        Class of each cell by labelling, shape (n_labellings, n).
    folds
        Fold of each cell, shape (n,), drawn without the labels: then the score is one function of the labelling.
    stratum
        Stratum of each cell, shape (n,).
    alphas
        Strengths as of `fit_logistic_path`, shape (m,), in any order.
    l1_ratio
        Share of the L1 part in [0, 1].

    Returns
    -------
    Of the pooled out-of-fold decisions. 0.5 where no stratum has cells of both classes, or no coefficient is in use.
    """
    place = np.argsort(stratum, kind="stable")
    x, folds, labels = x[place] - x.mean(axis=0), folds[place], labels[:, place]
    bounds = np.append(np.flatnonzero(np.diff(stratum[place], prepend=-1)), folds.size).astype(np.int64)
    falling = np.argsort(-alphas, kind="stable")
    parts = [*_folds(x, folds)]
    found = np.empty((labels.shape[0], alphas.size))
    size = max(1, BLOCK // (folds.size * alphas.size))
    for first in range(0, labels.shape[0], size):
        block = np.ascontiguousarray(labels[first : first + size])
        found[first : first + size, falling] = _block(x, block, parts, bounds, alphas[falling], l1_ratio)
    return found


def _folds(x: _Floats, folds: NDArray[np.int64]) -> Iterator[_Fold]:
    sums, moments, variance = x.sum(axis=0), x.T @ x, x.var(axis=0)
    for fold in range(int(folds.max()) + 1):
        cells = np.flatnonzero(folds == fold)
        own = x[cells]
        n_train = folds.size - cells.size
        mean = (sums - own.sum(axis=0)) / n_train
        covariance = (moments - own.T @ own) / n_train - np.outer(mean, mean)
        spread = np.diag(covariance)
        varies = spread > NO_SPREAD * variance
        inverse = np.where(varies, 1.0 / np.sqrt(np.where(varies, spread, 1.0)), 0.0)
        yield _Fold(cells, n_train, mean, inverse, covariance * inverse * inverse[:, np.newaxis])


def _block(
    x: _Floats, labels: _Labels, parts: Sequence[_Fold], bounds: NDArray[np.int64], alphas: _Floats, l1_ratio: float
) -> _Floats:
    """Return the AUCs of some labellings, shape (n_labellings, m); alphas descend."""
    own = labels.astype(np.float64)
    sums = [own[:, part.cells] @ x[part.cells] for part in parts]
    counts = [own[:, part.cells].sum(axis=1) for part in parts]
    of_all, n_of_all = np.sum(sums, axis=0), np.sum(counts, axis=0)
    fits = []
    for part, left_out, n_left_out in zip(parts, sums, counts, strict=True):
        positive, n_positive = of_all - left_out, n_of_all - n_left_out
        n_negative = part.n_train - n_positive
        both = (n_positive > 0) & (n_negative > 0)
        mean = (positive / np.maximum(n_positive, 1)[:, np.newaxis] - part.mean) * part.inverse
        # Over all training cells the standardised mean is 0, so the other class's mean follows.
        other = -mean * (n_positive / np.maximum(n_negative, 1))[:, np.newaxis]
        slopes = np.where(both[:, np.newaxis], mean - other, 0.0)
        coefs, moved = _paths(part.gram, slopes, 4.0 * alphas / part.n_train, l1_ratio)
        fits.append((coefs, moved, np.where(both[:, np.newaxis], 0.5 * (mean + other), 0.0)))
    differs = np.any([moved for _, moved, _ in fits], axis=0)
    decision = np.empty((int(differs.sum()), x.shape[0]))
    for part, (coefs, _, middle) in zip(parts, fits, strict=True):
        chosen = coefs[differs]
        test = (x[part.cells] - part.mean) * part.inverse
        intercept = np.einsum("ij,ij->i", chosen, middle[np.nonzero(differs)[0]])
        decision[:, part.cells] = chosen @ test.T - intercept[:, np.newaxis]
    auc = np.empty(decision.shape[0])
    within_kernel(decision, np.nonzero(differs)[0].astype(np.int64), labels, bounds, auc)
    # Where no fold's coefficients moved, the score is that at the strength before; 0.5 as long as all are 0.
    found = np.full(differs.shape, 0.5)
    found[differs] = auc
    latest = np.maximum.accumulate(np.where(differs, np.arange(differs.shape[1]), 0), axis=1)
    filled: _Floats = np.take_along_axis(found, latest, axis=1)
    return filled


def _paths(gram: _Floats, slopes: _Floats, strengths: _Floats, l1_ratio: float) -> tuple[_Floats, NDArray[np.bool_]]:
    """Return the coefficients, shape (n_labellings, m, p), and where they moved, shape (n_labellings, m)."""
    moved = np.ones((slopes.shape[0], strengths.size), dtype=np.bool_)
    if l1_ratio == 0.0:
        values, vectors = np.linalg.eigh(gram)
        turned = slopes @ vectors
        divisors = np.maximum(values, 0.0) + strengths[:, np.newaxis]
        return (turned[:, np.newaxis] / divisors) @ vectors.T, moved
    coefs = np.empty((slopes.shape[0], strengths.size, slopes.shape[1]))
    sparse_paths_kernel(gram, slopes, l1_ratio * strengths, (1.0 - l1_ratio) * strengths, coefs, moved)
    return coefs, moved
