"""Fit one reduction as a unit of work, or read what an earlier fit of the same left in the run's cache.

Plan 0's replicate and Plan 1's embedding of the same cells, genes, method, K and seed are one unit.
"""

import json
from dataclasses import asdict
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue
from scipy import sparse

from stagewright.stages.cohort.load import Cohort
from stagewright.stages.executors.executor import Executor, SharedValue
from stagewright.stages.files import save_array
from stagewright.stages.matrix_inputs import matrix_inputs
from stagewright.stages.protocol import StageContext, Unit
from stagewright.stages.reduction.catalogue import FitUnit
from stagewright.stages.reduction.reduction import Reduction
from stagewright.stages.reduction.sweep import FitSettings, SharedMatrix, sweep
from stagewright.stages.unit_cache import UnitInputs
from stagewright.state.artifacts import ArtifactWriter
from stagewright.state.spec.preprocess import Preprocess

__all__ = ["MatrixFits", "fitted", "share_matrix"]

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
    """

    def __init__(self, context: StageContext, cohort: Cohort, entry: Preprocess, shared: SharedMatrix) -> None:
        request = context.request
        self._context = context
        self._executor = context.executor
        self._shared = share_matrix(self._executor, shared)
        self._settings = FitSettings(rotation={str(method): kind for method, kind in request.study.rotation.items()})
        self._matrix_inputs = matrix_inputs(request, cohort, entry)

    def fit(self, unit: Unit, what: FitUnit, place: PurePosixPath | None = None) -> Reduction:
        """Return one fit; with a place, its files become artifacts there.

        Raises
        ------
        UnitFailed
            When it fails.
        """
        inputs = UnitInputs("fit", self._matrix_inputs | _fit_inputs(what, self._settings))
        with self._context.unit(unit, inputs) as work:
            if work.reused:
                reduction = _read(work.folder, what)
            else:
                reduction = self._executor.call(fitted, self._shared, what, self._settings)
                work.write(partial(_save, reduction))
            if place is not None:
                work.put_into(self._context.artifacts, place)
        return reduction


def share_matrix(executor: Executor, shared: SharedMatrix) -> SharedValue[SharedMatrix]:
    """Return the matrix of a sweep as an argument of calls, of which no worker makes a copy."""
    x = shared.x
    return executor.share(shared, _matrix_of, data=x.data, indices=x.indices, indptr=x.indptr, n_genes=x.shape[1])


def _matrix_of(
    data: NDArray[np.float32], indices: NDArray[np.integer], indptr: NDArray[np.integer], n_genes: int
) -> SharedMatrix:
    """Return the matrix of a sweep from the arrays of its CSR form."""
    return SharedMatrix(sparse.csr_matrix((data, indices, indptr), shape=(indptr.size - 1, n_genes)))


def fitted(shared: SharedMatrix, what: FitUnit, settings: FitSettings) -> Reduction:
    """Fit one unit.

    PCA too one by one: from one decomposition for several K, the last bits of each would depend on the others, and on
    which of them the cache holds.
    """
    _, reduction = next(sweep([what], shared, settings))
    return reduction


def _fit_inputs(what: FitUnit, settings: FitSettings) -> dict[str, JsonValue]:
    own = {name: value for name, value in asdict(settings).items() if name.startswith(f"{what.method}_")}
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
