"""Compiled kernel of the penalised logistic path.

Proximal Newton: at each point the weighted logistic loss is replaced by its second-order model on a working set of
features, the model plus the penalty is minimised exactly, and a backtracking search on the true objective takes the
step. The inner minimiser sweeps coordinates to guess the signs and then solves the sign-fixed linear system by a
damped Cholesky factor with an exact search over the sign changes; sweeps alone stall on collinear features. Penalties
are visited from strong to weak and each starts from the solution before it.

The optimality measure is a duality gap, so it is a bound on the distance to the optimum and not a step length. With
theta_i = weight_i * P(wrong class of row i), a dual point is made feasible by scaling each class (free intercept: the
classes must balance) and then all of it (L1 bound). The gap is then a sum of non-negative terms, never a difference of
two large numbers, which keeps it accurate for separable data with an objective near zero.

No BLAS is called: the result depends neither on the number of BLAS threads nor on the BLAS build. All of it stands in
one file because numba's disk cache notices a change in the file of the compiled function only.

Sources: Yuan, Ho and Lin (2012) JMLR 13:1999 (proximal Newton for L1 logistic regression); Lee, Battle, Raina and Ng
(2006) NIPS 19 (feature-sign search, the active-set phase); Ndiaye et al. (2017) JMLR 18:128 (dual scaling).
"""

from collections.abc import Callable
from typing import TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["logistic_path_kernel", "warm"]

_Function = TypeVar("_Function", bound=Callable[..., object])
_Floats = NDArray[np.float64]
_Integers = NDArray[np.int64]

_ROWS_PER_BLOCK = 512  # a block of scaled rows of some tens of features stays in the second-level cache
_ADDED_FEATURES = 64  # a working set grows by at most this many features, or doubles
_PIVOT_FLOOR = 1e-12  # relative to the diagonal: what a float64 factor can still tell from a singular direction
_ROUNDING = 1e-14  # relative error of a sum of some ten thousand losses
_FEWEST_SWEEPS = 3
_UNDISTURBED, _SIGNS_CHANGED = -1, -2
_SUFFICIENT_DECREASE = 1e-2
_SHORTEST_STEP = 1e-12
_FIRST_DAMPING = 1e-10  # relative to the diagonal of the model
_IDLE_STEPS = 8  # steps in a row that promise less than rounding; Newton would have squared the error eight times


def _compiled(function: _Function) -> _Function:
    # Sums may be reassociated (SIMD); NaN and infinity keep their meaning, the search relies on it.
    return cast("_Function", numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})(function))


@_compiled
def _evaluate(
    eta: _Floats, n_positive: int, weights: _Floats, theta: _Floats, curvature: _Floats, totals: _Floats
) -> float:
    """Weighted loss; fills theta, the curvature and per class (negative, positive) the sums of theta and odds."""
    loss = 0.0
    for label in range(2):
        first, last = (0, n_positive) if label == 1 else (n_positive, eta.shape[0])
        sign = 1.0 if label == 1 else -1.0
        weight = weights[label]
        class_loss, class_theta, class_odds = 0.0, 0.0, 0.0
        # Sums of block sums: one running sum over a hundred thousand cells would lose three digits.
        for begin in range(first, last, _ROWS_PER_BLOCK):
            block_loss, block_theta, block_odds = 0.0, 0.0, 0.0
            for i in range(begin, min(begin + _ROWS_PER_BLOCK, last)):
                margin = sign * eta[i]
                ratio = np.exp(-abs(margin))
                right = 1.0 / (1.0 + ratio)
                wrong = ratio * right
                block_loss += np.log1p(ratio)
                odds = ratio
                if margin < 0.0:
                    block_loss -= margin
                    right, wrong = wrong, right
                    odds = np.exp(-margin)
                theta[i] = weight * wrong
                curvature[i] = weight * wrong * right
                block_theta += wrong
                block_odds += odds
            class_loss += block_loss
            class_theta += block_theta
            class_odds += block_odds
        loss += weight * class_loss
        totals[label] = weight * class_theta
        totals[2 + label] = weight * class_odds
    return loss


@_compiled
def _class_gradients(xt: _Floats, theta: _Floats, n_positive: int, out: _Floats) -> None:
    """Gradient of the loss by feature, apart for negative (row 0) and positive (row 1) rows of the data."""
    for j in range(xt.shape[0]):
        row = xt[j]
        total = 0.0
        for i in range(n_positive):
            total += row[i] * theta[i]
        out[1, j] = -total
        total = 0.0
        for i in range(n_positive, row.shape[0]):
            total += row[i] * theta[i]
        out[0, j] = total


@_compiled
def _duality_gap(coef: _Floats, by_class: _Floats, totals: _Floats, l1: float, l2: float) -> float:
    """Upper bound on objective minus optimum, from the class-wise scaled dual point."""
    scale = np.empty(2)
    smaller = min(totals[0], totals[1])
    scale[0] = smaller / totals[0]
    scale[1] = smaller / totals[1]
    largest = 0.0
    for j in range(coef.shape[0]):
        largest = max(largest, abs(scale[0] * by_class[0, j] + scale[1] * by_class[1, j]))
    shrink = min(1.0, l1 / largest) if l2 == 0.0 and largest > 0.0 else 1.0
    gap = 0.0
    for label in range(2):
        scale[label] *= shrink
        if scale[label] < 1.0:
            # Lower bound of the entropy at the scaled point, from its largest curvature on the way.
            gap += 0.5 * (1.0 - scale[label]) ** 2 / scale[label] * totals[2 + label]
    for j in range(coef.shape[0]):
        slope = scale[0] * by_class[0, j] + scale[1] * by_class[1, j]
        gap += l1 * abs(coef[j]) + 0.5 * l2 * coef[j] ** 2 + coef[j] * slope
        if l2 > 0.0:
            gap += 0.5 * max(abs(slope) - l1, 0.0) ** 2 / l2
    return max(gap, 0.0)


@_compiled
def _working_set(coef: _Floats, gradient: _Floats, l1: float) -> _Integers:
    """Features in use and the zero ones that violate, or nearly violate, their optimality condition."""
    in_use = 0
    waiting = 0
    excess = np.empty(coef.shape[0])
    for j in range(coef.shape[0]):
        excess[j] = -1.0
        if coef[j] != 0.0 or l1 == 0.0:
            in_use += 1
        elif abs(gradient[j]) > 0.8 * l1:
            excess[j] = abs(gradient[j])
            waiting += 1
    allowed = max(_ADDED_FEATURES, in_use)
    threshold = 0.0
    if waiting > allowed:
        threshold = np.sort(excess)[coef.shape[0] - allowed]
    chosen = np.empty(coef.shape[0], np.int64)
    size = 0
    for j in range(coef.shape[0]):
        if coef[j] != 0.0 or l1 == 0.0 or (excess[j] >= 0.0 and excess[j] >= threshold):
            chosen[size] = j
            size += 1
    return chosen[:size]


@_compiled
def _add_products(block: _Floats, width: int, out: _Floats) -> None:
    """Add the dot products of the first `width` values of the rows of `block` to the lower triangle of `out`."""
    # Four by two dot products at a time: each loaded value is used more than once.
    for a in range(0, block.shape[0], 4):
        a0, a1, a2, a3 = block[a], block[a + 1], block[a + 2], block[a + 3]
        for b in range(0, a + 4, 2):
            b0, b1 = block[b], block[b + 1]
            s00, s01, s10, s11, s20, s21, s30, s31 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
            for i in range(width):
                u, v = b0[i], b1[i]
                s00 += a0[i] * u
                s01 += a0[i] * v
                s10 += a1[i] * u
                s11 += a1[i] * v
                s20 += a2[i] * u
                s21 += a2[i] * v
                s30 += a3[i] * u
                s31 += a3[i] * v
            out[a, b] += s00
            out[a, b + 1] += s01
            out[a + 1, b] += s10
            out[a + 1, b + 1] += s11
            out[a + 2, b] += s20
            out[a + 2, b + 1] += s21
            out[a + 3, b] += s30
            out[a + 3, b + 1] += s31


@_compiled
def _hessian(xt: _Floats, chosen: _Integers, curvature: _Floats, l2: float, damping: float) -> _Floats:
    """Second derivative over the chosen features and, last, the intercept; shape (k + 1, k + 1)."""
    size = chosen.shape[0] + 1
    padded = (size + 3) // 4 * 4
    block = np.zeros((padded, _ROWS_PER_BLOCK))
    lower = np.zeros((padded, padded))
    for first in range(0, curvature.shape[0], _ROWS_PER_BLOCK):
        width = min(_ROWS_PER_BLOCK, curvature.shape[0] - first)
        root = block[size - 1]
        for i in range(width):
            root[i] = np.sqrt(curvature[first + i])
        for a in range(size - 1):
            source, target = xt[chosen[a], first : first + width], block[a]
            for i in range(width):
                target[i] = source[i] * root[i]
        _add_products(block, width, lower)
    full = np.empty((size, size))
    for a in range(size):
        for b in range(a):
            full[a, b] = full[b, a] = lower[a, b]
        full[a, a] = (lower[a, a] + (l2 if a < size - 1 else 0.0)) * (1.0 + damping)
    return full


@_compiled
def _coordinate_sweep(h: _Floats, penalty: _Floats, point: _Floats, gradient: _Floats) -> int:
    """Minimise the penalised quadratic over one coordinate after another, once; returns how many signs changed."""
    changed_signs = 0
    for j in range(point.shape[0]):
        diagonal = h[j, j]
        if diagonal <= 0.0:
            continue
        target = diagonal * point[j] - gradient[j]
        value = np.sign(target) * max(abs(target) - penalty[j], 0.0) / diagonal
        change = value - point[j]
        if change != 0.0:
            changed_signs += int(np.sign(value) != np.sign(point[j]))
            point[j] = value
            row = h[j]
            for i in range(point.shape[0]):
                gradient[i] += change * row[i]
    return changed_signs


@_compiled
def _damped_solve(h: _Floats, active: _Integers, rhs: _Floats) -> None:
    """Solve h[active, active] s = rhs in place by Cholesky; a vanishing pivot is raised to a floor."""
    size = active.shape[0]
    factor = np.empty((size, size))
    for a in range(size):
        row_a = factor[a]
        source = h[active[a]]
        for b in range(a + 1):
            row_b = factor[b]
            total = source[active[b]]
            for i in range(b):
                total -= row_a[i] * row_b[i]
            if b < a:
                row_a[b] = total / row_b[b]
            else:
                pivot = max(total, _PIVOT_FLOOR * source[active[a]])
                row_a[a] = np.sqrt(pivot) if pivot > 0.0 else 1.0
    for a in range(size):
        total = rhs[a]
        for i in range(a):
            total -= factor[a, i] * rhs[i]
        rhs[a] = total / factor[a, a]
    for a in range(size - 1, -1, -1):
        rhs[a] /= factor[a, a]
        for i in range(a):
            rhs[i] -= factor[a, i] * rhs[a]


@_compiled
def _search_signs(
    active: _Integers, step: _Floats, point: _Floats, penalty: _Floats, slope: float, bend: float
) -> tuple[float, int]:
    """Exact minimiser in [0, 1] of the penalised quadratic along a step.

    Returns the length and where it ended: a position in `active` that becomes zero, or else whether a sign changed on
    the way.
    """
    size = active.shape[0]
    breaks = np.full(size, 2.0)
    for a in range(size):
        j = active[a]
        if penalty[j] > 0.0 and point[j] * step[a] < 0.0:
            breaks[a] = -point[j] / step[a]
    crossed = False
    while True:
        nearest = int(np.argmin(breaks))
        at = breaks[nearest]
        if bend > 0.0 and crossed and -slope / bend < min(at, 1.0):
            return -slope / bend, _SIGNS_CHANGED
        if at >= 1.0:
            return 1.0, (_SIGNS_CHANGED if crossed else _UNDISTURBED)
        slope += 2.0 * penalty[active[nearest]] * abs(step[nearest])
        if slope + bend * at >= 0.0:
            return at, nearest
        crossed = True
        breaks[nearest] = 2.0


@_compiled
def _sign_fixed_step(
    h: _Floats, active: _Integers, penalty: _Floats, point: _Floats, gradient: _Floats, moved: _Floats
) -> tuple[_Floats, float, float]:
    """Step to the minimum over the active coordinates at their signs; fills moved = h step.

    Returns the step and the slope and second derivative of the objective along it.
    """
    step = np.empty(active.shape[0])
    for a, j in enumerate(active):
        step[a] = -(gradient[j] + penalty[j] * np.sign(point[j]))
    steepest = step.copy()
    _damped_solve(h, active, step)
    slope, bend = 0.0, 0.0
    moved[:] = 0.0
    for a, j in enumerate(active):
        row = h[j]
        for i in range(moved.shape[0]):
            moved[i] += step[a] * row[i]
        slope -= steepest[a] * step[a]
    for a, j in enumerate(active):
        bend += step[a] * moved[j]
    return step, slope, bend


@_compiled
def _solve_active(h: _Floats, penalty: _Floats, point: _Floats, gradient: _Floats) -> None:
    """Minimise the penalised quadratic over the coordinates that are not zero, dropping those that reach zero."""
    moved = np.empty(point.shape[0])
    for _ in range(4 * point.shape[0] + 20):
        active = np.nonzero((point != 0.0) | (penalty == 0.0))[0]
        step, slope, bend = _sign_fixed_step(h, active, penalty, point, gradient, moved)
        if not slope < 0.0:
            return
        length, ended = _search_signs(active, step, point, penalty, slope, bend)
        for a, j in enumerate(active):
            point[j] += length * step[a]
        if ended >= 0:
            point[active[ended]] = 0.0
        for i in range(point.shape[0]):
            gradient[i] += length * moved[i]
        if ended == _UNDISTURBED:
            return


@_compiled
def _minimise_quadratic(h: _Floats, slope: _Floats, start: _Floats, penalty: _Floats) -> _Floats:
    """Minimise slope'd + d'hd / 2 + sum(penalty |start + d|) over d; returns start + d."""
    size = start.shape[0]
    point, gradient = start.copy(), slope.copy()
    for attempt in range(100):
        if penalty[0] > 0.0:
            # The first sweeps may cost about what one factor costs; they stop when the support has settled.
            most = max(_FEWEST_SWEEPS, size // 3) if attempt == 0 else 1
            for sweep in range(most):
                if _coordinate_sweep(h, penalty, point, gradient) == 0 and sweep + 1 >= _FEWEST_SWEEPS:
                    break
        _solve_active(h, penalty, point, gradient)
        solved = True
        for j in range(size):
            total = slope[j]
            for i in range(size):
                total += h[j, i] * (point[i] - start[i])
            gradient[j] = total
            if point[j] == 0.0 and abs(total) > penalty[j] * (1.0 + 1e-12):
                solved = False
        if solved:
            break
    return point


@_compiled
def _penalty(coef: _Floats, l1: float, l2: float) -> float:
    total = 0.0
    for j in range(coef.shape[0]):
        total += l1 * abs(coef[j]) + 0.5 * l2 * coef[j] ** 2
    return total


@_compiled
def _newton_model(  # noqa: PLR0913, PLR0917 - a compiled function takes arrays and numbers, not records
    xt: _Floats,
    chosen: _Integers,
    coef: _Floats,
    intercept: float,
    gradient: _Floats,
    balance: float,
    curvature: _Floats,
    l1: float,
    l2: float,
    damping: float,
) -> tuple[_Floats, _Floats, float]:
    """Minimise the second-order model; returns the present point, its minimiser, and the decrease to first order."""
    k = chosen.shape[0]
    slope, point, penalty = np.empty(k + 1), np.empty(k + 1), np.full(k + 1, l1)
    for a, j in enumerate(chosen):
        point[a] = coef[j]
        slope[a] = gradient[j] + l2 * coef[j]
    point[k], slope[k], penalty[k] = intercept, balance, 0.0
    target = _minimise_quadratic(_hessian(xt, chosen, curvature, l2, damping), slope, point, penalty)
    decrease = 0.0
    for a in range(k + 1):
        decrease += (target[a] - point[a]) * slope[a] + penalty[a] * (abs(target[a]) - abs(point[a]))
    return point, target, decrease


@_compiled
def _eta_direction(xt: _Floats, chosen: _Integers, step: _Floats, out: _Floats) -> None:
    """Change of the logits along a step of the chosen features and, last, the intercept."""
    out[:] = step[-1]
    for a, j in enumerate(chosen):
        row, by = xt[j], step[a]
        if by != 0.0:
            for i in range(out.shape[0]):
                out[i] += by * row[i]


@_compiled
def _solve_penalty(  # noqa: PLR0913, PLR0917 - a compiled function takes arrays and numbers, not records
    xt: _Floats,
    n_positive: int,
    weights: _Floats,
    l1: float,
    l2: float,
    tol: float,
    max_iter: int,
    coef: _Floats,
    intercept: float,
    rows: _Floats,
) -> tuple[float, float, float, int]:
    """Move coef and the logits rows[0] to the optimum of one penalty; returns what `scalars` of the path holds."""
    eta, theta, curvature, direction, tried = rows[0], rows[1], rows[2], rows[3], rows[4]
    totals, by_class, trial = np.empty(4), np.empty((2, coef.shape[0])), coef.copy()
    loss = _evaluate(eta, n_positive, weights, theta, curvature, totals)
    _class_gradients(xt, theta, n_positive, by_class)
    steps, idle, damping = 0, 0, 0.0
    while True:
        objective = loss + _penalty(coef, l1, l2)
        gap = _duality_gap(coef, by_class, totals, l1, l2)
        if gap <= tol * objective or steps >= max_iter or idle >= _IDLE_STEPS or damping > 1.0:
            return intercept, objective, gap / objective, steps
        gradient = by_class[0] + by_class[1]
        chosen = _working_set(coef, gradient, l1)
        point, target, decrease = _newton_model(
            xt, chosen, coef, intercept, gradient, totals[0] - totals[1], curvature, l1, l2, damping
        )
        idle = idle + 1 if decrease > -_ROUNDING * objective else 0
        step = target - point
        _eta_direction(xt, chosen, step, direction)
        length = 1.0
        while True:
            for a, j in enumerate(chosen):
                trial[j] = target[a] if length == 1.0 else point[a] + length * step[a]
            for i in range(eta.shape[0]):
                tried[i] = eta[i] + length * direction[i]
            loss = _evaluate(tried, n_positive, weights, theta, curvature, totals)
            bound = objective + _SUFFICIENT_DECREASE * length * decrease + _ROUNDING * objective
            if loss + _penalty(trial, l1, l2) <= bound:
                coef[:] = trial
                eta[:] = tried
                intercept += length * step[-1]
                _class_gradients(xt, theta, n_positive, by_class)
                damping = 0.01 * damping if damping > _FIRST_DAMPING else 0.0
                steps += 1
                break
            length *= 0.5
            if length < _SHORTEST_STEP:
                # A singular model led nowhere: back to the point, and damp the model until a step goes down.
                loss = _evaluate(eta, n_positive, weights, theta, curvature, totals)
                trial[:] = coef
                damping = max(100.0 * damping, _FIRST_DAMPING)
                break


@_compiled
def logistic_path_kernel(  # noqa: PLR0913, PLR0917 - a compiled function takes arrays and numbers, not records
    xt: _Floats,
    n_positive: int,
    weights: _Floats,
    alphas: _Floats,
    l1_ratio: float,
    start: float,
    tolerances: _Floats,
    max_iter: int,
    coefs: _Floats,
    scalars: _Floats,
) -> None:
    """Fit a path of penalties from strong to weak; writes into `coefs` and `scalars`.

    Parameters
    ----------
    xt
        Array of shape (p, n), C order: one feature a row, the positive cells first.
    n_positive
        Number of positive cells.
    weights
        Weight of a negative and of a positive cell, shape (2,).
    alphas
        Penalties in decreasing order, shape (m,).
    l1_ratio
        Share of the L1 part, in [0, 1].
    start
        Intercept of the model without features.
    tolerances
        Largest duality gap relative to the objective at the same point, for each penalty, shape (m,).
    max_iter
        Most Newton steps for one penalty.
    coefs
        Output of shape (m, p).
    scalars
        Output of shape (m, 4): intercept, objective, duality gap relative to the objective, Newton steps.
    """
    coef, intercept = np.zeros(xt.shape[0]), start
    rows = np.empty((5, xt.shape[1]))
    rows[0] = start
    for m in range(alphas.shape[0]):
        l1, l2 = alphas[m] * l1_ratio, alphas[m] * (1.0 - l1_ratio)
        intercept, objective, gap, steps = _solve_penalty(
            xt, n_positive, weights, l1, l2, tolerances[m], max_iter, coef, intercept, rows
        )
        coefs[m] = coef
        scalars[m, 0], scalars[m, 1], scalars[m, 2], scalars[m, 3] = intercept, objective, gap, steps


def warm() -> None:
    """Compile every kernel, or load it from numba's disk cache (about 10 s the first time, below 1 s after)."""
    features = np.array([[0.0, 1.0, 0.5, 2.0, 1.5, 3.0]])
    logistic_path_kernel(
        features,
        3,
        np.ones(2),
        np.array([1.0, 0.1]),
        1.0,
        0.0,
        np.full(2, 1e-10),
        100,
        np.empty((2, 1)),
        np.empty((2, 4)),
    )
