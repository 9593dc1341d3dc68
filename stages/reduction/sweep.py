"""Run the fits of a sweep one by one, computing what they share once."""

import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
from pydantic import JsonValue
from scipy import sparse

from stagewright.stages.reduction.catalogue import FitUnit, known_methods, method_entry
from stagewright.stages.reduction.cnmf import fit_cnmf
from stagewright.stages.reduction.correlation import correlation
from stagewright.stages.reduction.factor_analysis import fit_fa
from stagewright.stages.reduction.factor_scores import Estimator
from stagewright.stages.reduction.fit_registered import fit_registered
from stagewright.stages.reduction.harmony import fit_harmony
from stagewright.stages.reduction.nmf import Loss, fit_nmf
from stagewright.stages.reduction.pca import Decomposition, components, decompose, decomposed_at
from stagewright.stages.reduction.reduction import Reduction
from stagewright.stages.reduction.scvi import fit_scvi
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
    batch
        Batch of each cell, shape (n_cells,), for the methods that correct for one.
    """

    x: sparse.csr_matrix | View
    batch: npt.NDArray[np.str_] | None = None
    # One for each, so that a fit that needs one of them does not wait for another.
    _standardising: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)
    _correlating: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)
    _decomposing: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)
    _decompositions: dict[tuple[int, int], Decomposition] = field(default_factory=dict, repr=False, compare=False)

    @property
    def standardised(self) -> View:
        """The standardised view (mean and sd of each gene)."""
        with self._standardising:
            return self._standardised

    @property
    def correlation(self) -> npt.NDArray[np.float32]:
        """Correlation of the genes, float32 of shape (n_genes, n_genes); only factor analysis asks for it."""
        with self._correlating:
            return self._correlation

    def decomposition(self, k: int, seed: int) -> Decomposition:
        """Return the components of which a fit takes its first K; all K up to one multiple of 64 share them.

        Raises
        ------
        ValueError
            K is above the rank of the matrix.
        """
        view = self.standardised
        size = decomposed_at(k, view)
        with self._decomposing:
            if (size, seed) not in self._decompositions:
                self._decompositions[size, seed] = decompose(view, size, seed=seed)
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
    nmf_loss, nmf_max_iter, nmf_tol
        As in `fit_nmf`.
    fa_scores, fa_starts, fa_max_iter, fa_tolerance
        As `estimator`, `n_starts`, `max_iter` and `tolerance` of `fit_fa`.
    cnmf_replicates, cnmf_loss, cnmf_density_threshold, cnmf_neighbors_share, cnmf_max_iter
        As in `fit_cnmf`.
    harmony_batch, scvi_batch
        Name of the batch column: what `SharedMatrix.batch` holds.
    scvi_max_epochs
        As in `fit_scvi`.
    registered
        What each registered method is given, by its name.
    """

    rotation: dict[str, str] = field(default_factory=dict)
    nmf_loss: Loss = "frobenius"
    nmf_max_iter: int = 1000
    nmf_tol: float | None = None
    fa_scores: Estimator = "regression"
    fa_starts: int = 1
    fa_max_iter: int = 200
    fa_tolerance: float = 1e-8
    cnmf_replicates: int = 20
    cnmf_loss: Loss = "frobenius"
    cnmf_density_threshold: float = 0.5
    cnmf_neighbors_share: float = 0.3
    cnmf_max_iter: int = 1000
    harmony_batch: str | None = None
    scvi_batch: str | None = None
    scvi_max_epochs: int | None = None
    registered: Mapping[str, Mapping[str, JsonValue]] = field(default_factory=dict)


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
    ImportError
        An optional package is not installed, or a registered method cannot be loaded.
    """
    chosen = settings or FitSettings()
    todo = list(units)
    known = known_methods()
    for method in {unit.method for unit in todo}:
        if method not in known:
            raise ValueError(f"Unknown reduction method {method!r}; allowed are {', '.join(known)}.")
        rotation, rotations = chosen.rotation.get(method, "none"), method_entry(method).rotations
        if rotation not in rotations:
            raise ValueError(f"Method {method} takes no rotation {rotation!r}; allowed are {', '.join(rotations)}.")
    for unit in todo:
        yield unit, _fit(unit, shared, chosen)


def _fit(unit: FitUnit, shared: SharedMatrix, chosen: FitSettings) -> Reduction:  # noqa: PLR0911 - one for each method
    view, k, seed = shared.standardised, unit.k, unit.seed
    match unit.method:
        case "pca":
            return components(view, shared.decomposition(k, seed), k)
        case "fa":
            return fit_fa(
                view,
                k,
                seed=seed,
                rotation=chosen.rotation.get("fa"),
                correlation=shared.correlation,
                n_starts=chosen.fa_starts,
                estimator=chosen.fa_scores,
                tolerance=chosen.fa_tolerance,
                max_iter=chosen.fa_max_iter,
            )
        case "nmf":
            return fit_nmf(view, k, seed=seed, loss=chosen.nmf_loss, max_iter=chosen.nmf_max_iter, tol=chosen.nmf_tol)
        case "cnmf":
            return fit_cnmf(
                view,
                k,
                seed=seed,
                replicates=chosen.cnmf_replicates,
                loss=chosen.cnmf_loss,
                density_threshold=chosen.cnmf_density_threshold,
                neighbors_share=chosen.cnmf_neighbors_share,
                max_iter=chosen.cnmf_max_iter,
            )
        case "harmony":
            return fit_harmony(view, shared.decomposition(k, seed), k, batch=shared.batch, seed=seed)
        case "scvi":
            return fit_scvi(view, k, batch=shared.batch, seed=seed, max_epochs=chosen.scvi_max_epochs)
        case _:
            return fit_registered(unit.method, view, k, seed, chosen.registered.get(unit.method, {}))
