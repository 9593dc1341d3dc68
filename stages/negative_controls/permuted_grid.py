"""Score one preprocess under permuted labels, with what depends on the label done again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import pandas as pd

from stagewright.stages.cohort.load import Cohort
from stagewright.stages.negative_controls.mirrors import MIRRORS
from stagewright.stages.negative_controls.permute_labels import Stratum, stratum_numbers
from stagewright.stages.negative_controls.permuted_cohort import permutation_inputs, permuted_cohort, refitted_cohort
from stagewright.stages.negative_controls.within_strata import PREDICTIONS, WithinStrata, within_strata
from stagewright.stages.plan1_embeddings import EmbeddedCohort
from stagewright.stages.plan1_grid import CellResult, unit_of_cell
from stagewright.stages.plan1_inputs import cell_inputs
from stagewright.stages.protocol import StageContext, Unit, UnitFailed
from stagewright.stages.refit.cohort_once import CohortOnce
from stagewright.stages.refit.predictions import RefittedPredictions
from stagewright.stages.refit.refit_folds import refitted_predictions
from stagewright.stages.refit.some_cells import relabelled
from stagewright.state.layout import permutation_folder, permuted_cell
from stagewright.state.spec.preprocess import Preprocess
from stagewright.state.step_units import cell_unit, permuted_unit

__all__ = ["PermutedCell", "permuted_grid"]


@dataclass(frozen=True, slots=True)
class PermutedCell:
    """One cell of the grid of one mirrored stage under one permutation.

    Attributes
    ----------
    within
        By penalty, the AUC within strata; empty for a stage that predicts no cell out of fold.
    """

    permutation: int
    stage: str
    result: CellResult
    within: Mapping[str, WithinStrata]


def permuted_grid(
    context: StageContext,
    entry: Preprocess,
    embedded: EmbeddedCohort,
    strata: Sequence[Stratum],
    counts: CohortOnce,
) -> list[PermutedCell]:
    """Score every method of one preprocess in every mirrored stage under every permutation, each a unit of work.

    Embeddings of genes that were chosen without the label are those of the observed labels, which they never saw.
    Where the label chose the genes, they are chosen again by the permuted labels, and the embeddings fitted again.

    Parameters
    ----------
    embedded
        The cells with their observed labels.
    strata
        Within which labels are permuted.
    counts
        The same cells with their counts, for an entry whose genes the label chooses, or for CV scope `pipeline`.

    Returns
    -------
    In the order of permutations, stages and methods, without cells that failed for good.

    Raises
    ------
    UnitFailed
        When a gene selection fails, or more units than the spec allows.
    ValueError
        When the counts are of other cells.
    """
    study = context.request.study
    stratum_of = stratum_numbers(strata, embedded.obs.index)
    pipeline = study.scope == "pipeline" and "plan1b" in study.mirrored
    if entry.supervised or pipeline:
        if not embedded.obs.index.equals(counts.counts.obs.index):
            raise ValueError(f"{entry.tag}: the sealed embeddings are of other cells than the data file has in scope")
        done: list[PermutedCell] = []
        for number in range(1, study.permutations + 1):  # one matrix in memory at a time
            permuted = permuted_cohort(context, embedded, strata, number)
            cells = relabelled(counts.counts, permuted.obs, permuted.positive)
            if entry.supervised:
                place = permutation_folder(context.request.checkpoint, number) / "preprocess_cache" / entry.tag
                permuted = refitted_cohort(context, entry, permuted, cells, number, place)
            predicted = _out_of_folds(context, entry, permuted, cells, number) if pipeline else None
            done += _scored(context, [(number, permuted)], stratum_of, predicted)
        return done
    cohorts = [
        (number, permuted_cohort(context, embedded, strata, number)) for number in range(1, study.permutations + 1)
    ]
    return _scored(context, cohorts, stratum_of)


def _scored(
    context: StageContext,
    cohorts: Sequence[tuple[int, EmbeddedCohort]],
    stratum_of: pd.Series,
    predicted: Mapping[str, RefittedPredictions] | None = None,
) -> list[PermutedCell]:
    """Score every cell of the grid of some cohorts."""
    stages = context.request.study.mirrored
    cells = [
        (number, stage, method, cohort)
        for number, cohort in cohorts
        for stage in stages
        for method in cohort.scores
        if stage != "plan1b" or predicted is None or method in predicted
    ]

    def score(cell: tuple[int, str, str, EmbeddedCohort]) -> PermutedCell | None:
        number, stage, method, cohort = cell
        try:
            found = None if predicted is None or stage != "plan1b" else predicted[method]
            return _cell(context, number, stage, method, cohort, stratum_of, found)
        except UnitFailed as failed:
            context.tolerate(failed)
            return None

    # One after the other: within a cell the patients are worked on side by side.
    return [done for cell in cells if (done := score(cell)) is not None]


def _cell(
    context: StageContext,
    number: int,
    stage: str,
    method: str,
    cohort: EmbeddedCohort,
    stratum_of: pd.Series,
    predicted: RefittedPredictions | None,
) -> PermutedCell:
    mirror, request = MIRRORS[stage], context.request
    name = permuted_unit(number, cell_unit(stage, cohort.tag, method))
    unit = Unit(name, method=method, preprocess=cohort.tag)
    also = permutation_inputs(context, number)
    score = mirror.score
    if predicted is not None:
        also = {**also, "predictions": predicted.digest}
        score = partial(score, predicted=predicted)
    inputs = cell_inputs(mirror.kind, request, cohort, method, also)
    place = permuted_cell(request.checkpoint, number, stage, cohort.tag, method)
    result = unit_of_cell(context, unit, inputs, place, score, cohort)
    if mirror.in_sample:
        return PermutedCell(number, stage, result, {})
    # Read back even when they were made just now, as the results are.
    predictions = context.artifacts.staging / place / PREDICTIONS
    return PermutedCell(number, stage, result, within_strata(predictions, stratum_of))


def _out_of_folds(
    context: StageContext, entry: Preprocess, permuted: EmbeddedCohort, cohort: Cohort, number: int
) -> dict[str, RefittedPredictions]:
    also = permutation_inputs(context, number)
    return refitted_predictions(context, entry, permuted, cohort, permutation=number, also=also)
