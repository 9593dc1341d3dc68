"""Fit the whole pipeline again without the cells of each fold, and predict those cells.

Fold f of repeat r is left out of all patients together: genes are selected, expression is scaled and the reduction is
fitted on the training cells of all patients; the cells left out are scored by `transform` and each patient's classifier
is fitted on its own training cells. Patients that are not cross-validated have no cell in any fold and train always.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path, PurePosixPath
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue
from scipy import sparse

from stagewright.stages.classify.fold_prediction import predict_left_out
from stagewright.stages.cohort.load import Cohort
from stagewright.stages.executors.executor import SharedValue
from stagewright.stages.files import save_array
from stagewright.stages.fits import fit_inputs, fitted, settings_of
from stagewright.stages.gene_unit import genes_of
from stagewright.stages.matrix_inputs import matrix_inputs
from stagewright.stages.plan1_embeddings import EmbeddedCohort
from stagewright.stages.plan1_folds import folds_of_cells, split_patients
from stagewright.stages.plan1_inputs import digest_cells
from stagewright.stages.plan1_tables import PatientCells, l1_ratio_of, patients_of
from stagewright.stages.preprocess.pearson_residuals import PearsonResidualView
from stagewright.stages.preprocess.scale import to_scale
from stagewright.stages.protocol import StageContext, Unit, UnitFailed
from stagewright.stages.reduction.catalogue import FitUnit
from stagewright.stages.reduction.sweep import FitSettings, SharedMatrix
from stagewright.stages.reduction.transform import transform
from stagewright.stages.refit.predictions import FoldArrays, RefittedPredictions, gathered
from stagewright.stages.refit.some_cells import some_cells
from stagewright.stages.share_matrix import share_matrix
from stagewright.stages.unit_cache import UnitInputs
from stagewright.state.artifacts import ArtifactWriter
from stagewright.state.layout import fold_genes_folder
from stagewright.state.spec.preprocess import Preprocess
from stagewright.state.step_units import fold_unit, permuted_unit

__all__ = ["refitted_predictions"]

NOTHING: Mapping[str, JsonValue] = MappingProxyType({})
ARRAYS = ("decision", "gaps", "converged")
Place = tuple[int, int]


def refitted_predictions(
    context: StageContext,
    entry: Preprocess,
    embedded: EmbeddedCohort,
    cohort: Cohort,
    *,
    permutation: int | None = None,
    also: Mapping[str, JsonValue] = NOTHING,
    repeats: int | None = None,
) -> dict[str, RefittedPredictions]:
    """Predict the cells of every fold by a pipeline that was fitted without them: a unit a method, repeat and fold.

    Parameters
    ----------
    embedded
        The cells with the labels that the classifiers are fitted to; its methods are those that are refitted.
    cohort
        The same cells with the same labels and their counts.
    permutation, also
        Of the labels, if they are permuted, and what makes them.
    repeats
        How many of cross-validation; None for those of the study.

    Returns
    -------
    By method; without those of which a fold failed for good, where the spec allows that.

    Raises
    ------
    UnitFailed
        When a gene selection fails, or more units than the spec allows.
    """
    study = context.request.study
    if repeats is not None:
        study = study.model_copy(update={"repeats": repeats})
    patients = patients_of(embedded, context.request.scope.patient, study.group)
    kept, _, _ = split_patients(patients, study, entry.tag)
    folds = folds_of_cells(kept, len(embedded.obs), study.repeats)
    work = _Work(context, entry, embedded, cohort, kept, permutation, also)
    places = [(repeat, fold) for repeat in range(study.repeats) for fold in range(study.folds)]

    def refit(place: Place) -> dict[str, FoldArrays]:
        fold = _Fold(work, place, folds[place[0]] == place[1])
        try:
            return {method: arrays for method in embedded.scores if (arrays := fold.predict(method)) is not None}
        finally:
            fold.forget()

    done = dict(zip(places, context.map(refit, places, most=context.request.workers), strict=True))
    tested = {place: _tested(kept, folds[place[0]] == place[1]) for place in places}
    return {
        method: gathered(study.penalties, {place: done[place][method] for place in places}, tested)
        for method in embedded.scores
        if all(method in arrays for arrays in done.values())
    }


def _tested(kept: Sequence[tuple[PatientCells, int]], test: NDArray[np.bool_]) -> list[tuple[str, int]]:
    """Return the patients with cells in a fold, and how many."""
    return [(patient.name, int(test[patient.rows].sum())) for patient, _ in kept if test[patient.rows].any()]


@dataclass(frozen=True, slots=True)
class _Work:
    """What all folds of one preprocess are made from."""

    context: StageContext
    entry: Preprocess
    embedded: EmbeddedCohort
    cohort: Cohort
    kept: Sequence[tuple[PatientCells, int]]
    permutation: int | None
    also: Mapping[str, JsonValue]


class _Fold:
    """One fold: what its methods share, each computed when the first of them has to run.

    One thread works on a fold, so that it holds one fold's matrix at a time. A fold is made in this process wherever it
    is fitted, so that no more of them are at work than this machine may have units, however large a cluster is.
    """

    def __init__(self, work: _Work, place: Place, test: NDArray[np.bool_]) -> None:
        context, entry, embedded, also = work.context, work.entry, work.embedded, work.also
        self._context, self._entry, self._embedded, self._cohort = context, entry, embedded, work.cohort
        self._place, self._test, self._kept, self._permutation = place, test, work.kept, work.permutation
        held_out: dict[str, JsonValue] = {"held_out": hashlib.sha256(np.packbits(test).tobytes()).hexdigest()}
        labels = {"patients_and_labels": digest_cells(embedded, context.request.scope.patient)}
        self._of_genes = {**also, **held_out, **(labels if entry.supervised else {})}
        self._also = {**also, **held_out, **labels}
        self._genes = self._select()

    def predict(self, method: str) -> FoldArrays | None:
        """Return the predictions of one method as a unit of work; None when it failed for good and may."""
        request, study = self._context.request, self._context.request.study
        k = int(self._embedded.scores[method].shape[1])
        what = FitUnit(method, k, study.seeds[0])
        values: dict[str, JsonValue] = matrix_inputs(request, self._cohort, self._entry) | self._also
        values |= fit_inputs(what, settings_of(study))
        # A list: the arrays of the result have the penalties in this order.
        ratios: list[JsonValue] = [l1_ratio_of(study, penalty) for penalty in study.penalties]
        values |= {"l1_ratios": ratios, "alphas": [*study.alphas]}
        unit = Unit(self._named(fold_unit(self._entry.tag, method, *self._place)), method, k, self._entry.tag)
        try:
            with self._context.unit(unit, UnitInputs("refit", values)) as work:
                arrays = _read(work.folder) if work.reused else self._predicted(what)
                if not work.reused:
                    work.write(partial(_save, arrays))
        except UnitFailed as failed:
            self._context.tolerate(failed)
            return None
        return arrays

    def _named(self, unit: str) -> str:
        return unit if self._permutation is None else permuted_unit(self._permutation, unit)

    def _select(self) -> NDArray[np.bool_]:
        """Choose the genes by the training cells alone."""
        request, tag = self._context.request, self._entry.tag
        repeat, fold = self._place
        place = fold_genes_folder(request.checkpoint, tag, repeat, fold, self._permutation)
        name = self._named(f"{tag}/repeat_{repeat}/fold_{fold}/genes")
        return genes_of(self._context, self._training, self._entry, place, name=name, also=self._of_genes)

    @cached_property
    def _training(self) -> Cohort:
        return some_cells(self._cohort, np.flatnonzero(~self._test))

    @cached_property
    def _expression(self) -> sparse.csr_matrix | PearsonResidualView:
        return to_scale(self._training.source, self._genes, self._context.request.study.normalisation)

    @cached_property
    def _matrices(self) -> tuple[SharedValue[SharedMatrix], SharedValue[SharedMatrix]]:
        """The cells that are trained on and those left out, as arguments of calls."""
        executor = self._context.executor
        trained, left_out = SharedMatrix(self._expression), SharedMatrix(self._left_out)
        return share_matrix(executor, trained), share_matrix(executor, left_out)

    def forget(self) -> None:
        """Remove what was stored of the fold's cells for other processes."""
        for matrix in self.__dict__.get("_matrices", ()):
            matrix.forget()

    @cached_property
    def _left_out(self) -> sparse.csr_matrix | PearsonResidualView:
        """The cells of the fold on the scale of the training cells."""
        counts = self._cohort.counts[np.flatnonzero(self._test)]
        if isinstance(self._expression, PearsonResidualView):
            totals = np.asarray(counts @ np.ones(counts.shape[1]), dtype=np.float64)
            return self._expression.of_other_cells(counts[:, self._genes], totals)
        return to_scale(counts, self._genes, self._context.request.study.normalisation)

    def _predicted(self, what: FitUnit) -> FoldArrays:
        study = self._context.request.study
        cells = _Cells(
            self._test,
            self._embedded.positive,
            tuple(patient.rows for patient, _ in self._kept if self._test[patient.rows].any()),
        )
        ratios = [l1_ratio_of(study, penalty) for penalty in study.penalties]
        alphas = np.asarray(study.alphas)
        return self._context.executor.call(
            _fold_arrays, *self._matrices, what, settings_of(study), cells, alphas, ratios
        )


@dataclass(frozen=True, slots=True)
class _Cells:
    """Whether a cell is left out and its class, shape (n_cells,), and the rows of each patient with cells left out."""

    test: NDArray[np.bool_]
    positive: NDArray[np.bool_]
    patients: tuple[NDArray[np.intp], ...]


def _fold_arrays(
    training: SharedMatrix,
    left_out: SharedMatrix,
    what: FitUnit,
    settings: FitSettings,
    cells: _Cells,
    alphas: NDArray[np.float64],
    l1_ratios: Sequence[float],
) -> FoldArrays:
    """Fit one reduction to the cells that are trained on, and predict each patient's cells that are left out."""
    shape = (len(l1_ratios), len(cells.patients), alphas.size)
    decision = np.empty((shape[0], int(cells.test.sum()), shape[2]))
    gaps, converged = np.zeros(shape), np.ones(shape, dtype=np.bool_)
    if not cells.patients:
        return FoldArrays(decision, gaps, converged)
    reduction = fitted(training, what, settings)
    features = np.empty((cells.test.size, what.k))
    # Training cells too, so that all cells of a classifier are scored the same way.
    features[~cells.test] = transform(reduction, training.x)
    features[cells.test] = transform(reduction, left_out.x)
    start = 0
    for number, rows in enumerate(cells.patients):
        test, labels = cells.test[rows], cells.positive[rows]
        here = slice(start, start + int(test.sum()))
        start = here.stop
        for at, found in enumerate(predict_left_out(features[rows], labels, ~test, test, alphas, l1_ratios)):
            decision[at, here] = found.decision
            gaps[at, number], converged[at, number] = found.gaps, found.converged
    return FoldArrays(decision, gaps, converged)


def _save(arrays: FoldArrays, writer: ArtifactWriter) -> None:
    for name in ARRAYS:
        save_array(writer, PurePosixPath(f"{name}.npy"), getattr(arrays, name))


def _read(folder: Path) -> FoldArrays:
    return FoldArrays(*(np.load(folder / f"{name}.npy", allow_pickle=False) for name in ARRAYS))
