"""Compiled kernels that minimise the generalised Kullback-Leibler divergence of sparse expression from W H.

One factor moves while the other stays. Each cell (or gene) is a convex problem of its own, and its coordinates are
visited one by one (Hsieh and Dhillon 2011, KDD, section 3, "scalar block descent"). Along one coordinate the slope is
sum_k - sum_j x_j o_j / (P_j + o_j d), a concave function of the step d. In place of Newton's tangent the slope's
hyperbola is taken, sum_k - s^2 / (s + c d) with the same value and derivative at d = 0: by Jensen's inequality it lies
above the slope everywhere, so upwards the step stops short of the minimum, yet reaches beyond Newton's, and downwards
it overshoots less. Zero is set exactly where the slope at zero rises, and taken up again where it falls.

Most coordinates of expression programmes end at zero. Those above zero are visited first, on copies of the fixed
factor's columns at the cell's genes, which makes every loop contiguous; the slopes of the others then cost one pass
over the fixed factor's rows, and only those that fall are visited.

Only the non-zeros of the matrix are touched. No BLAS is called. All of it stands in one file because numba's disk cache
notices a change in the file of the compiled function only.
"""

# ruff: noqa: FURB136 - `max` looks for NaN, which keeps the compiler from vector code

from collections.abc import Callable
from typing import TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["descend", "scratch", "warm"]

_Function = TypeVar("_Function", bound=Callable[..., object])
_Float32s = NDArray[np.float32]
_Float32 = np.float32
_Indices = NDArray[np.uint32]
_Offsets = NDArray[np.int64]

_LOWEST = np.float32(np.finfo(np.float32).eps)
"""Floor of the prediction of a non-zero, as scikit-learn has it."""
_MANY = 0.6
"""From this share of components above zero on, all of them are visited."""
_LINE = 16
"""Float32 values in a cache line; rows of an odd number of lines do not fall on the same cache sets."""


def _compiled(function: _Function) -> _Function:
    # Sums may be reassociated (SIMD) and divisions turned into reciprocals; NaN and infinity keep their meaning.
    options = {"reassoc", "contract", "nsz", "arcp"}
    return cast("_Function", numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=options)(function))


@_compiled
def _gather(fixed: _Float32s, genes: _Indices, active: _Indices, n_active: int, own: _Float32s) -> None:
    """Copy the fixed factor at one cell's genes: row a of `own` is the component active[a]."""
    # Flat and unsigned: the compiler then leaves out the check for indices from the end.
    source, target = fixed.reshape(-1), own.reshape(-1)
    k, stride = np.uint64(fixed.shape[1]), np.uint64(own.shape[1])
    one, two, three = np.uint64(1), np.uint64(2), np.uint64(3)
    n = len(genes)
    j = 0
    while j + 4 <= n:
        f0, f1 = np.uint64(genes[j]) * k, np.uint64(genes[j + 1]) * k
        f2, f3 = np.uint64(genes[j + 2]) * k, np.uint64(genes[j + 3]) * k
        place = np.uint64(j)
        for a in range(n_active):
            component = np.uint64(active[a])
            target[place] = source[f0 + component]
            target[place + one] = source[f1 + component]
            target[place + two] = source[f2 + component]
            target[place + three] = source[f3 + component]
            place += stride
        j += 4
    while j < n:
        f0, place = np.uint64(genes[j]) * k, np.uint64(j)
        for a in range(n_active):
            target[place] = source[f0 + np.uint64(active[a])]
            place += stride
        j += 1


@_compiled
def _screen(fixed: _Float32s, genes: _Indices, ratio: _Float32s, sums: _Float32s) -> None:
    """Return in `sums` s = sum x o / P of every component."""
    k = fixed.shape[1]
    for i in range(k):
        sums[i] = np.float32(0)
    n = len(genes)
    j = 0
    while j + 4 <= n:
        f0, f1, f2, f3 = fixed[genes[j]], fixed[genes[j + 1]], fixed[genes[j + 2]], fixed[genes[j + 3]]
        r0, r1, r2, r3 = ratio[j], ratio[j + 1], ratio[j + 2], ratio[j + 3]
        for i in range(k):
            sums[i] += r0 * f0[i] + r1 * f1[i] + (r2 * f2[i] + r3 * f3[i])
        j += 4
    while j < n:
        f0, r0 = fixed[genes[j]], ratio[j]
        for i in range(k):
            sums[i] += r0 * f0[i]
        j += 1


@_compiled
def _predict(own: _Float32s, weights: _Float32s, n_active: int, predicted: _Float32s) -> None:
    """Sum of weights[a] * own[a]."""
    for j in range(len(predicted)):
        predicted[j] = np.float32(0)
    a = 0
    while a + 4 <= n_active:
        w0, w1, w2, w3 = weights[a], weights[a + 1], weights[a + 2], weights[a + 3]
        o0, o1, o2, o3 = own[a], own[a + 1], own[a + 2], own[a + 3]
        for j in range(len(predicted)):
            predicted[j] += w0 * o0[j] + w1 * o1[j] + w2 * o2[j] + w3 * o3[j]
        a += 4
    while a < n_active:
        w0, o0 = weights[a], own[a]
        for j in range(len(predicted)):
            predicted[j] += w0 * o0[j]
        a += 1


@_compiled
def _sums(row: _Float32s, ratio: _Float32s, inverse: _Float32s) -> tuple[_Float32, _Float32]:
    """Return s = sum x o / P and c = sum x (o / P)^2, from x / P and 1 / x."""
    s = np.float32(0)
    c = np.float32(0)
    for j in range(len(ratio)):
        part = row[j] * ratio[j]
        s += part
        c += part * part * inverse[j]
    return s, c


@_compiled
def _sum_at_zero(row: _Float32s, values: _Float32s, predicted: _Float32s, old: _Float32) -> _Float32:
    """Return s where the coordinate is zero."""
    s = np.float32(0)
    for j in range(len(values)):
        rest = predicted[j] - old * row[j]
        rest = rest if rest > _LOWEST else _LOWEST
        s += values[j] * row[j] / rest
    return s


@_compiled
def _move(row: _Float32s, values: _Float32s, step: _Float32, predicted: _Float32s, ratio: _Float32s) -> None:
    for j in range(len(values)):
        now = predicted[j] + step * row[j]
        now = now if now > _LOWEST else _LOWEST
        predicted[j] = now
        ratio[j] = values[j] / now


@_compiled
def _visit(
    row: _Float32s,
    old: _Float32,
    total: _Float32,
    values: _Float32s,
    predicted: _Float32s,
    ratio: _Float32s,
    inverse: _Float32s,
) -> _Float32:
    """Minimise along one coordinate; return where it is now."""
    s, c = _sums(row, ratio, inverse)
    if old == 0 and s <= total:
        return old
    new = np.float32(0)
    if c > 0:
        new = old + (s / c) * (s / total - np.float32(1))
        if new <= 0:
            new = np.float32(0)
            if old > 0 and _sum_at_zero(row, values, predicted, old) > total:
                new = np.float32(0.1) * old
    if new != old:
        _move(row, values, new - old, predicted, ratio)
    return new


@_compiled
def descend(  # noqa: C901, PLR0912, PLR0913, PLR0915, PLR0917 - a compiled function takes arrays and numbers, not records
    indptr: _Offsets,
    indices: _Indices,
    values: _Float32s,
    fixed: _Float32s,
    moving: _Float32s,
    moved: _Float32s,
    tolerance: float,
    measure: bool,  # noqa: FBT001 - as above
    own: _Float32s,
    rows: _Float32s,
) -> float:
    """Visit each coordinate of each cell once.

    Parameters
    ----------
    indptr, indices, values
        The matrix by cells: non-zeros only, above 0.
    fixed
        Shape (n_genes, k).
    moving
        Shape (n_cells, k); changed in place.
    moved
        Shape (n_cells,): what the last visit changed of each cell's predicted total, as a share. Replaced by what this
        visit changes.
    tolerance
        Cells that were moved by no more are left alone.
    measure
        Whether to measure the divergence; only of cells that are visited.
    own, rows
        From `scratch`.

    Returns
    -------
    float
        Before the visit, sum x log(x / P) - x over the non-zeros: what the divergence is beside the sum of W H. 0 if
        not measured.
    """
    n_genes, k = fixed.shape
    exact = np.zeros(k)
    for gene in range(n_genes):
        for i in range(k):
            exact[i] += fixed[gene, i]
    totals = exact.astype(np.float32)
    active = np.empty(k, dtype=np.uint32)
    weights = np.empty(k, dtype=np.float32)
    sums = np.empty(k, dtype=np.float32)
    divergence = 0.0
    for cell in range(len(moving)):
        if moved[cell] <= tolerance:
            continue
        scores = moving[cell]
        start = indptr[cell]
        n = indptr[cell + 1] - start
        if n == 0:
            scores[:] = np.float32(0)
            moved[cell] = np.float32(0)
            continue
        n_above = 0
        for i in range(k):
            if scores[i] > 0:
                n_above += 1
        everything = n_above > _MANY * k
        n_active = 0
        for i in range(k):
            if totals[i] > 0 and (everything or scores[i] > 0):
                active[n_active] = i
                weights[n_active] = scores[i]
                n_active += 1
        x, genes = values[start : start + n], indices[start : start + n]
        predicted, ratio, inverse = rows[0, :n], rows[1, :n], rows[2, :n]
        _gather(fixed, genes, active, n_active, own)
        _predict(own, weights, n_active, predicted)
        for j in range(n):
            now = predicted[j] if predicted[j] > _LOWEST else _LOWEST
            predicted[j] = now
            ratio[j] = x[j] / now
            inverse[j] = np.float32(1) / x[j]
        if measure:
            for j in range(n):
                divergence += x[j] * np.log(ratio[j]) - x[j]
        change, total = np.float32(0), np.float32(0)
        for a in range(n_active):
            i = active[a]
            of_all = np.float32(totals[i])
            scores[i] = _visit(own[a, :n], weights[a], of_all, x, predicted, ratio, inverse)
            change += abs(scores[i] - weights[a]) * totals[i]
            total += scores[i] * totals[i]
        if not everything:
            _screen(fixed, genes, ratio, sums)
            for i in range(k):
                if scores[i] == 0 and totals[i] > 0 and sums[i] > totals[i]:
                    active[0] = i
                    _gather(fixed, genes, active, 1, own)
                    scores[i] = _visit(own[0, :n], np.float32(0), totals[i], x, predicted, ratio, inverse)
                    change += scores[i] * totals[i]
                    total += scores[i] * totals[i]
        moved[cell] = change / total if total > 0 else np.float32(0)
    return divergence


def scratch(k: int, longest: int) -> tuple[_Float32s, _Float32s]:
    """Return working memory for `descend` over cells (or genes) of at most `longest` non-zeros."""
    padded = ((longest + _LINE - 1) // _LINE | 1) * _LINE
    return np.empty((k, padded), dtype=np.float32), np.empty((3, padded), dtype=np.float32)


def warm() -> None:
    """Compile every kernel, or load it from numba's disk cache."""
    indptr, indices = np.array([0, 1], dtype=np.int64), np.array([0], dtype=np.uint32)
    one = np.ones((1, 1), dtype=np.float32)
    descend(indptr, indices, one[0], one, one.copy(), one[0].copy(), 0.0, True, *scratch(1, 1))  # noqa: FBT003 - as above
