"""Fit one reduction as a unit of work, or read what an earlier fit of the same left in the run's cache.

Plan 0's replicate by seed and Plan 1's embedding of the same cells, genes, method, K and seed are one unit.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import TypeVar

import numpy as np
from pydantic import JsonValue

from stagewright.stages.bootstrapped import Bootstrapped
from stagewright.stages.cohort.load import Cohort
from stagewright.stages.executors.executor import SharedValue
from stagewright.stages.files import save_array
from stagewright.stages.matrix_inputs import matrix_inputs
from stagewright.stages.preprocess.scale import unseen_cells
from stagewright.stages.protocol import StageContext, Unit
from stagewright.stages.reduction.catalogue import METHODS, FitUnit
from stagewright.stages.reduction.reduction import ExtraValue, Reduction
from stagewright.stages.reduction.registered import package_of
from stagewright.stages.reduction.sweep import FitSettings, SharedMatrix, sweep
from stagewright.stages.reduction.transform import transform
from stagewright.stages.share_matrix import share_matrix
from stagewright.stages.unit_cache import UnitInputs
from stagewright.state.artifacts import ArtifactWriter
from stagewright.state.spec.effective import EffectiveStudy
from stagewright.state.spec.preprocess import Preprocess

__all__ = ["MatrixFits", "fit_inputs", "fitted", "settings_of"]

_Result = TypeVar("_Result")

FITTED_WITH = {field.name for field in fields(FitSettings)}
CORRECTING = ("harmony", "scvi")
NOTHING: Mapping[str, JsonValue] = MappingProxyType({})
SCORES, LOADINGS, EXTRAS = "scores.npy", "loadings.npy", "extras.json"


class MatrixFits:
    """The fits of one matrix: the cells of a step and the genes of one preprocess.

    Parameters
    ----------
    context
        Of the stage.
    cohort
        The cells.
    entry
        The preprocess that chose the genes.
    shared
        The matrix; what several fits need of it is computed when the first of them has to run.
    also
        What the matrix differs by from that of the step's own cells and labels.
    """

    def __init__(
        self,
        context: StageContext,
        cohort: Cohort,
        entry: Preprocess,
        shared: SharedMatrix,
        *,
        also: Mapping[str, JsonValue] = NOTHING,
    ) -> None:
        request = context.request
        self._context = context
        self._settings = settings_of(request.study)
        batch = batch_column(request.study, request.scope.patient)
        if batch is not None:
            shared = replace(shared, batch=np.asarray(cohort.column(batch)).astype(str))
        self._shared = shared
        self._executor = context.executor
        self._on_workers = share_matrix(self._executor, shared)
        self._matrix_inputs = matrix_inputs(request, cohort, entry) | {**also}

    @property
    def shared(self) -> SharedMatrix:
        """The matrix."""
        return self._shared

    def inputs(self, what: FitUnit) -> dict[str, JsonValue]:
        """Return everything that a fit of the whole matrix depends on."""
        return self._matrix_inputs | fit_inputs(what, self._settings)

    def forget(self) -> None:
        """Remove what was stored of the matrix for other processes; no fit can follow."""
        self._on_workers.forget()

    def share(self, some: SharedMatrix) -> SharedValue[SharedMatrix]:
        """Return some of the matrix' cells as an argument of calls; `forget` it when the last one is made."""
        return share_matrix(self._executor, some)

    def call(self, function: Callable[..., _Result], *arguments: object) -> _Result:
        """Call a module-level function on a worker, with the matrix and the settings of its fits before the arguments.

        Raises
        ------
        Exception
            What the function raises, or the executor.
        """
        return self._executor.call(function, self._on_workers, self._settings, *arguments)

    def fit(
        self, unit: Unit, what: FitUnit, place: PurePosixPath | None = None, sample: Bootstrapped | None = None
    ) -> Reduction:
        """Return one fit; with a place, its files become artifacts there.

        Parameters
        ----------
        sample
            Fit this bootstrap sample of the cells instead of the cells; the scores are those of the cells all the same.

        Raises
        ------
        UnitFailed
            When it fails.
        """
        values = self.inputs(what)
        if sample is not None:
            values["sample"] = {**sample.named()}
        inputs = UnitInputs("fit", values)
        with self._context.unit(unit, inputs) as work:
            if work.reused:
                reduction = _read(work.folder, what)
            else:
                reduction = self._fitted(what, sample)
                work.write(partial(_save, reduction))
            if place is not None:
                work.put_into(self._context.artifacts, place)
        return reduction

    def _fitted(self, what: FitUnit, sample: Bootstrapped | None) -> Reduction:
        if sample is None:
            return self._executor.call(fitted, self._on_workers, what, self._settings)
        reduction = self.call(_fitted_to_sample, sample.matrix, what)
        extras: dict[str, ExtraValue] = {**reduction.extras, "sample": {**sample.named()}}
        return replace(reduction, extras=extras)


def fitted(shared: SharedMatrix, what: FitUnit, settings: FitSettings) -> Reduction:
    """Fit one unit.

    PCA too one by one: from one decomposition for several K, the last bits of each would depend on the others, and on
    which of them the cache holds.
    """
    _, reduction = next(sweep([what], shared, settings))
    return reduction


def _fitted_to_sample(whole: SharedMatrix, settings: FitSettings, sample: SharedMatrix, what: FitUnit) -> Reduction:
    """Fit one unit to a sample of the cells; the scores are those of all cells."""
    reduction = fitted(sample, what, settings)
    # Residuals of a cell go by the genes' shares among the sampled cells, on which the fit stands.
    cells = unseen_cells(whole.x, None, sample.standardised)
    return replace(reduction, scores=transform(reduction, cells))


def settings_of(study: EffectiveStudy) -> FitSettings:
    """Return what a study sets of its reductions."""
    flat = {
        f"{method}_{name}": value
        for method, settings in study.method_settings.items()
        for name, value in settings.items()
        if f"{method}_{name}" in FITTED_WITH
    }
    registered = {method: values for method, values in study.method_settings.items() if method not in METHODS}
    settings = FitSettings(rotation=dict(study.rotation), registered=registered)
    return replace(settings, **flat)  # type: ignore[arg-type]  # checked by the spec


def batch_column(study: EffectiveStudy, patient: str) -> str | None:
    """Return the obs column that a method of the study corrects for; None when there is no such method.

    Raises
    ------
    ValueError
        Two methods correct for different columns.
    """
    columns = {
        str(study.method_settings.get(method, {}).get("batch") or patient)
        for method in study.methods
        if method in CORRECTING
    }
    if len(columns) > 1:
        raise ValueError(f"harmony and scvi correct for {' and '.join(sorted(columns))}; name one batch for both")
    return next(iter(columns), None)


def fit_inputs(what: FitUnit, settings: FitSettings) -> dict[str, JsonValue]:
    """Return what a fit depends on beside its matrix."""
    own = {name: value for name, value in asdict(settings).items() if name.startswith(f"{what.method}_")}
    if what.method in settings.registered:
        own["registered"] = {**settings.registered[what.method]}
    if what.method not in METHODS or what.method in CORRECTING:
        own["package"] = package_of(what.method)
    inputs: dict[str, JsonValue] = {"method": what.method, "k": what.k, "seed": what.seed}
    return inputs | {"rotation": settings.rotation.get(what.method, "none"), "settings": own}


def _save(reduction: Reduction, writer: ArtifactWriter) -> None:
    save_array(writer, PurePosixPath(SCORES), reduction.scores)
    save_array(writer, PurePosixPath(LOADINGS), reduction.loadings)
    for name, array in reduction.arrays.items():
        save_array(writer, PurePosixPath(f"{name}.npy"), np.asarray(array))
    writer.write_json(PurePosixPath(EXTRAS), dict(reduction.extras))


def _read(folder: Path, what: FitUnit) -> Reduction:
    arrays = {path.stem: np.load(path, allow_pickle=False) for path in sorted(folder.glob("*.npy"))}
    scores, loadings = (arrays.pop(PurePosixPath(name).stem) for name in (SCORES, LOADINGS))
    extras = json.loads((folder / EXTRAS).read_text(encoding="utf-8"))
    return Reduction(what.method, what.k, scores, loadings, extras, arrays)
