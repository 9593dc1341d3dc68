"""Maximum-likelihood uniquenesses of a factor model, by minimising the likelihood concentrated over the loadings.

For uniquenesses psi, the best loadings follow from the leading eigenpairs of S = psi^-1/2 R psi^-1/2 (Joreskog 1967,
Psychometrika 32:443), which leaves a function of log psi only. Its Hessian at a good fit is the elementwise square of
I - U U', U the eigenvectors (Clarke 1970, Br. J. Math. Stat. Psychol. 23:43); products with it cost O(n_genes * k**2).
Newton steps with that Hessian do most of the way. Where the last kept eigenvalue lies near the first dropped one the
true Hessian is flatter, so that near the end the steps are corrected by the last gradients (L-BFGS on top of it).
The likelihood of the best loadings within an inexact eigenspace is still the likelihood of a real model, so eigenpairs
need not be exact along the way.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stagewright.stages.reduction.eigenpairs import Eigenpairs, block_size, leading_eigenpairs

Float64Array = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]

LOWEST_UNIQUENESS = 0.005
"""Bound against Heywood cases (a gene explained without rest), the value that R's factanal has."""

KRYLOV_DEPTH = 4
FIRST_RESTARTS = 3
N_REMEMBERED = 10
REMEMBER_BELOW = 1e-4
"""Gradients are remembered once a step is expected to gain less than this share: farther off they mislead."""
LONGEST_STEP = 1.5
"""In log psi, for one gene in one step."""
RIDGE = 1e-3
SHORTEST_STEP = 0.05


@dataclass(frozen=True, slots=True)
class FactorFit:
    """The model Sigma = loadings @ loadings.T + diag(uniquenesses).

    Attributes
    ----------
    uniquenesses
        Shape (n_genes,), in [0.005, 1].
    loadings
        Shape (n_genes, k), in canonical form: loadings' diag(1 / uniquenesses) loadings is diagonal and decreasing.
    objective
        Half of log det Sigma + tr(Sigma^-1 R): minus the log-likelihood per cell without its constant.
    n_iter
        Steps taken.
    converged
        Whether the last step was expected to gain less than the tolerance.
    """

    uniquenesses: Float64Array
    loadings: Float64Array
    objective: float
    n_iter: int
    converged: bool


def maximise_likelihood(
    correlation: Float32Array,
    k: int,
    start: Float64Array,
    rng: np.random.Generator,
    *,
    tolerance: float,
    max_iter: int,
) -> FactorFit:
    """Fit a factor model with k factors to a correlation matrix.

    Parameters
    ----------
    correlation
        float32 of shape (n_genes, n_genes).
    k
        Number of factors.
    start
        Uniquenesses to start from, shape (n_genes,), in (0, 1].
    rng
        Draws the block that the first eigenpairs are computed from.
    tolerance
        Stop when a step is expected to gain less than this share of the objective.
    max_iter
        The most steps.
    """
    n_genes = len(start)
    lowest = float(np.log(LOWEST_UNIQUENESS))
    log_psi = np.clip(np.log(start), lowest, 0.0)
    block = np.linalg.qr(rng.standard_normal((n_genes, block_size(k, n_genes)), dtype=np.float32))[0]
    pairs = leading_eigenpairs(correlation, np.exp(-log_psi / 2), block, depth=KRYLOV_DEPTH, n_restarts=FIRST_RESTARTS)
    objective = _objective(log_psi, pairs, k)
    history: deque[tuple[Float64Array, Float64Array]] = deque(maxlen=N_REMEMBERED)
    converged = False
    n_iter = 0
    last: tuple[Float64Array, Float64Array] | None = None
    while True:
        gradient = _gradient(log_psi, pairs, k)
        free = (log_psi > lowest) | (gradient < 0)
        if last is not None:
            moved, change = (log_psi - last[0]) * free, (gradient - last[1]) * free
            if moved @ change > RIDGE * abs(moved @ last[1]):  # a step along which the function curves upwards
                history.append((moved, change))
        step = _step(gradient, free, pairs, k, history)
        gain = -float(gradient @ step) / 2
        converged = gain <= tolerance * abs(objective)
        if converged or n_iter == max_iter:
            break
        last = (log_psi, gradient) if gain < REMEMBER_BELOW * abs(objective) else None
        length = 1.0
        while True:
            trial = np.clip(log_psi + length * step, lowest, 0.0)
            trial_pairs = leading_eigenpairs(correlation, np.exp(-trial / 2), pairs.vectors, depth=KRYLOV_DEPTH)
            trial_objective = _objective(trial, trial_pairs, k)
            # Float32 products leave the objective uncertain by about the tolerance.
            if trial_objective <= objective + tolerance * abs(objective) or length < SHORTEST_STEP:
                break
            length /= 2
        log_psi, pairs, objective = trial, trial_pairs, trial_objective
        n_iter += 1
    psi = np.exp(log_psi)
    strength = np.sqrt(np.maximum(pairs.values[:k] - 1, 0))
    loadings = np.sqrt(psi)[:, None] * pairs.vectors[:, :k].astype(np.float64) * strength
    return FactorFit(psi, loadings, objective, n_iter, converged)


def _objective(log_psi: Float64Array, pairs: Eigenpairs, k: int) -> float:
    values = pairs.values[:k]
    kept = np.maximum(values, 1.0)  # a direction with less than the unique variance gets no factor
    trace = np.exp(-log_psi).sum()
    return float(log_psi.sum() + np.log(kept).sum() + (values / kept).sum() - values.sum() + trace) / 2


def _gradient(log_psi: Float64Array, pairs: Eigenpairs, k: int) -> Float64Array:
    """By log psi, with the loadings at their best: (diag(Sigma) - 1) / (2 psi)."""
    vectors = pairs.vectors[:, :k].astype(np.float64)
    communality: Float64Array = vectors**2 @ np.maximum(pairs.values[:k] - 1, 0)
    return (1 + communality - np.exp(-log_psi)) / 2


def _step(
    gradient: Float64Array,
    free: npt.NDArray[np.bool_],
    pairs: Eigenpairs,
    k: int,
    history: deque[tuple[Float64Array, Float64Array]],
) -> Float64Array:
    """L-BFGS two-loop recursion around Clarke's Hessian, clipped, and zero where a gene stays at its bound."""
    vectors = pairs.vectors[:, :k].astype(np.float64)
    vectors[:, pairs.values[:k] <= 1] = 0.0
    direction = gradient * free
    weights: list[float] = []
    for moved, change in reversed(history):
        weights.append(float(moved @ direction) / float(moved @ change))
        direction = direction - weights[-1] * change
    direction = _solve(direction * free, free, vectors)
    for (moved, change), weight in zip(history, reversed(weights), strict=True):
        direction = direction + moved * (weight - float(change @ direction) / float(moved @ change))
    direction = direction * free
    if history and gradient @ direction <= 0:  # no descent: the remembered steps do not fit here
        history.clear()
        direction = _solve(gradient * free, free, vectors)
    return np.clip(-direction, -LONGEST_STEP, LONGEST_STEP)


def _solve(target: Float64Array, free: npt.NDArray[np.bool_], vectors: Float64Array) -> Float64Array:
    """Conjugate gradients on ((I - U U') squared elementwise) / 2 over the free genes, to two digits."""
    leverage = (vectors**2).sum(axis=1)
    preconditioner = free / ((1 - leverage) ** 2 / 2 + RIDGE)

    def multiply(v: Float64Array) -> Float64Array:
        inner = vectors.T @ (v[:, None] * vectors)
        squared = ((vectors @ inner) * vectors).sum(axis=1)
        product: Float64Array = free * ((1 - 2 * leverage) * v + squared) / 2 + RIDGE * v
        return product

    solution = np.zeros_like(target)
    residual = target.copy()
    conditioned = preconditioner * residual
    direction = conditioned.copy()
    size = first_size = float(residual @ conditioned)
    for _ in range(25):
        if size <= 1e-4 * first_size or size <= 0:
            break
        image = multiply(direction)
        share = size / float(direction @ image)
        solution += share * direction
        residual -= share * image
        conditioned = preconditioner * residual
        next_size = float(residual @ conditioned)
        direction = conditioned + (next_size / size) * direction
        size = next_size
    return solution
