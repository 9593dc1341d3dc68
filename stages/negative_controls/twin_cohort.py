"""The cells of one preprocess under the labels of the null twin, which Plan 1B and 1C score."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from stagewright.stages.cohort.load import Cohort
from stagewright.stages.negative_controls.permute_labels import strata_of, stratum_numbers
from stagewright.stages.negative_controls.permuted_cohort import permutation_inputs, permuted_cohort, refitted_cohort
from stagewright.stages.plan1_embeddings import EmbeddedCohort
from stagewright.stages.protocol import StageContext
from stagewright.stages.refit.cohort_once import CohortOnce
from stagewright.stages.refit.some_cells import relabelled
from stagewright.state.layout import TWIN, twin_genes_folder
from stagewright.state.spec.preprocess import Preprocess
from stagewright.state.step_units import twin_refits

__all__ = ["TwinCohort", "permuted_counts", "twin_cohort"]


@dataclass(frozen=True, slots=True)
class TwinCohort:
    """One preprocess with permuted labels.

    Attributes
    ----------
    embedded
        Its cells; the embeddings are those of genes that the permuted label chose, where a label chooses genes.
    stratum
        Number of the stratum within which each cell's label was permuted, shape (n_cells,).
    inputs
        What makes the labels, for the keys of units.
    """

    entry: Preprocess
    embedded: EmbeddedCohort
    stratum: NDArray[np.int64]
    inputs: Mapping[str, JsonValue]


def twin_cohort(context: StageContext, counts: CohortOnce, observed: EmbeddedCohort) -> TwinCohort:
    """Permute the labels of one preprocess once within strata, and choose and fit again what depends on them.

    Plan 1B and 1C draw the same labels, so that the second of them takes genes and embeddings from the run's cache.

    Parameters
    ----------
    counts
        The same cells with their counts, for genes that the label chooses.
    observed
        The cells with their observed labels.

    Raises
    ------
    UnitFailed
        When a gene selection fails, or more embeddings than the spec allows.
    ValueError
        When the counts are of other cells.
    """
    request, study = context.request, context.request.study
    entry = next(entry for entry in study.preprocess if entry.tag == observed.tag)
    strata = strata_of(observed.obs, study.permutation_strata, observed.positive)
    numbers = stratum_numbers(strata, observed.obs.index).to_numpy()
    permuted = permuted_cohort(context, observed, strata, TWIN)
    if twin_refits(study, entry, request.stage):
        place = twin_genes_folder(request.checkpoint, request.stage, entry.tag)
        permuted = refitted_cohort(context, entry, permuted, permuted_counts(counts, permuted), TWIN, place)
    return TwinCohort(entry, permuted, numbers, permutation_inputs(context, TWIN))


def permuted_counts(counts: CohortOnce, permuted: EmbeddedCohort) -> Cohort:
    """Return the cells with their counts and the permuted labels.

    Raises
    ------
    ValueError
        When the counts are of other cells.
    """
    if not permuted.obs.index.equals(counts.counts.obs.index):
        raise ValueError(f"{permuted.tag}: the sealed embeddings are of other cells than the data file has in scope")
    return relabelled(counts.counts, permuted.obs, permuted.positive)
