"""Run the fits of a sweep one by one, computing what they share once."""

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import sparse

from stagewright.stages.reduction.catalogue import METHODS, FitUnit
from stagewright.stages.reduction.correlation import correlation
from stagewright.stages.reduction.factor_analysis import fit_fa
from stagewright.stages.reduction.factor_scores import Estimator
from stagewright.stages.reduction.nmf import Loss, fit_nmf
from stagewright.stages.reduction.pca import Decomposition, components, decompose, decomposed_at
from stagewright.stages.reduction.reduction import Reduction
from stagewright.stages.reduction.standardise import standardise
from stagewright.stages.reduction.view import View


@dataclass(frozen=True)
class SharedMatrix:
    """A matrix with what its fits have in common, each computed at first need, by one thread, and kept.

    Attributes
    ----------
    x
        CSR matrix of shape (n_cells, n_genes), log-normalised expression of the selected genes; or a standardised view
        of what is not sparse.
    """

    x: sparse.csr_matrix | View
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False, compare=False)
    _decompositions: dict[tuple[int, int], Decomposition] = field(default_factory=dict, repr=False, compare=False)

    @property
    def standardised(self) -> View:
        """The standardised view (mean and sd of each gene)."""
        with self._lock:
            return self._standardised

    @property
    def correlation(self) -> npt.NDArray[np.float32]:
        """Correlation of the genes, float32 of shape (n_genes, n_genes); only factor analysis asks for it."""
        with self._lock:
            return self._correlation

    def decomposition(self, k: int, seed: int) -> Decomposition:
        """Return the components of which a fit takes its first K; all K up to one multiple of 64 share them.

        Raises
        ------
        ValueError
            K is above the rank of the matrix.
        """
        size = decomposed_at(k, self.standardised)
        with self._lock:
            if (size, seed) not in self._decompositions:
                self._decompositions[size, seed] = decompose(self._standardised, size, seed=seed)
            return self._decompositions[size, seed]

    @cached_property
    def _standardised(self) -> View:
        return standardise(self.x) if sparse.issparse(self.x) else self.x

    @cached_property
    def _correlation(self) -> npt.NDArray[np.float32]:
        return correlation(self.standardised)


@dataclass(frozen=True, slots=True)
class FitSettings:
    """Settings of a sweep that do not differ between its units.

    Attributes
    ----------
    rotation
        Rotation by method; a method that is not named is not rotated.
    nmf_loss
        "frobenius" or "kullback-leibler".
    nmf_max_iter, nmf_tol
        As in `fit_nmf`.
    fa_scores, fa_starts, fa_max_iter, fa_tolerance
        As `estimator`, `n_starts`, `max_iter` and `tolerance` of `fit_fa`.
    """

    rotation: dict[str, str] = field(default_factory=dict)
    nmf_loss: Loss = "frobenius"
    nmf_max_iter: int = 1000
    nmf_tol: float | None = None
    fa_scores: Estimator = "regression"
    fa_starts: int = 1
    fa_max_iter: int = 200
    fa_tolerance: float = 1e-8


def sweep(
    units: Iterable[FitUnit], shared: SharedMatrix, settings: FitSettings | None = None
) -> Iterator[tuple[FitUnit, Reduction]]:
    """Fit units in the order given and yield each as soon as it is done.

    Leave out of `units` what a cache already holds: no bit of a unit's result depends on the other units.

    Parameters
    ----------
    units
        For example from `plan_units`.
    shared
        The matrix.
    settings
        None for the defaults.

    Raises
    ------
    ValueError
        A method or rotation is unknown, or a fit refuses its K or matrix.
    """
    chosen = settings or FitSettings()
    todo = list(units)
    for method in {unit.method for unit in todo}:
        if method not in METHODS:
            raise ValueError(f"Unknown reduction method {method!r}; allowed are {', '.join(METHODS)}.")
        rotation = chosen.rotation.get(method, "none")
        if rotation not in METHODS[method].rotations:
            raise ValueError(
                f"Method {method} takes no rotation {rotation!r}; allowed are {', '.join(METHODS[method].rotations)}."
            )
    for unit in todo:
        if unit.method == "pca":
            yield unit, components(shared.standardised, shared.decomposition(unit.k, unit.seed), unit.k)
        elif unit.method == "fa":
            yield (
                unit,
                fit_fa(
                    shared.standardised,
                    unit.k,
                    seed=unit.seed,
                    rotation=chosen.rotation.get("fa"),
                    correlation=shared.correlation,
                    n_starts=chosen.fa_starts,
                    estimator=chosen.fa_scores,
                    tolerance=chosen.fa_tolerance,
                    max_iter=chosen.fa_max_iter,
                ),
            )
        else:
            yield (
                unit,
                fit_nmf(
                    shared.standardised,
                    unit.k,
                    seed=unit.seed,
                    loss=chosen.nmf_loss,
                    max_iter=chosen.nmf_max_iter,
                    tol=chosen.nmf_tol,
                ),
            )
