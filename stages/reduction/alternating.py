"""Alternating minimisation of a factorisation's loss, with momentum."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["Factors", "alternate"]

Floats: TypeAlias = npt.NDArray[np.floating]
Improve: TypeAlias = Callable[[Floats, Floats], float]

CHECKED_EVERY = 5
FIRST_MOMENTUM = 0.5
MOST_MOMENTUM = 0.95
GROWTH, CUT = 1.05, 1.5


@dataclass(frozen=True, slots=True)
class Factors:
    """A factorisation x ~ w @ h.T.

    Attributes
    ----------
    w, h
        float32 of shapes (n_cells, k) and (n_genes, k).
    n_iter
        Times that both factors were improved.
    converged
        Whether the loss had stopped to fall.
    """

    w: npt.NDArray[np.float32]
    h: npt.NDArray[np.float32]
    n_iter: int
    converged: bool


def alternate(improve_w: Improve, improve_h: Improve, w: Floats, h: Floats, *, tol: float, max_iter: int) -> Factors:
    """Improve w and h >= 0 in turn until the loss stops to fall.

    After each half-step the factor goes on in the direction it took (Ang and Gillis 2019, Neural Comput. 31:417), a
    little further each time, until the loss rises; then the momentum is cut and one round goes without.

    Parameters
    ----------
    improve_w
        Takes h and w, improves w in place, and returns the loss of the two as they came, above 0.
    improve_h
        Takes w and h and improves h in place; what it returns is not used.
    w, h
        The start; left untouched.
    tol
        Stop when the root of twice the loss, scikit-learn's error, fell over the last 5 iterations by less than this
        share of its value at the start.
    max_iter
        The most iterations.
    """
    last_w, last_h = w, h
    momentum, last = FIRST_MOMENTUM, np.inf
    first_error = last_error = np.inf
    for n_iter in range(max_iter):
        next_w = w.copy()
        loss = improve_w(h, next_w)
        if n_iter % CHECKED_EVERY == 0:
            error = float(np.sqrt(2 * max(loss, 0.0)))
            if n_iter == 0:
                first_error = error
            elif last_error - error <= tol * first_error:
                return Factors(next_w.astype(np.float32), h.astype(np.float32), n_iter, converged=True)
            last_error = error
        rose = loss > last
        momentum = momentum / CUT if rose else min(MOST_MOMENTUM, momentum * GROWTH)
        push = 0.0 if rose or n_iter < 2 else momentum  # noqa: PLR2004 - the first steps are long enough
        last = loss
        w, last_w = np.maximum(next_w + push * (next_w - last_w), 0), next_w
        next_h = h.copy()
        improve_h(w, next_h)
        h, last_h = np.maximum(next_h + push * (next_h - last_h), 0), next_h
    return Factors(last_w.astype(np.float32), last_h.astype(np.float32), max_iter, converged=False)
