"""One preprocess under permuted labels, with the genes and embeddings that depend on them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from stagewright.stages.cohort.load import Cohort
from stagewright.stages.gene_unit import genes_of
from stagewright.stages.negative_controls.permute_labels import Stratum, permute_labels
from stagewright.stages.plan1_embeddings import EmbeddedCohort, fit_methods
from stagewright.stages.protocol import StageContext
from stagewright.state.spec.data import DataScope
from stagewright.state.spec.preprocess import Preprocess
from stagewright.state.step_units import permuted_unit

__all__ = ["permutation_inputs", "permuted_cohort", "refitted_cohort"]


def permuted_cohort(
    context: StageContext, embedded: EmbeddedCohort, strata: Sequence[Stratum], number: int
) -> EmbeddedCohort:
    """Return the cells with permuted labels, also in the column that a gene selection may read."""
    request = context.request
    positive = permute_labels(embedded.positive, strata, seed=request.study.permutation_seed, number=number)
    column = request.scope.label.column
    obs = embedded.obs.assign(**{column: _texts(request.scope, positive)})
    return replace(embedded, positive=positive, obs=obs)


def _texts(scope: DataScope, positive: NDArray[np.bool_]) -> NDArray[np.object_]:
    return np.where(positive, scope.label.positive, scope.label.negative).astype(object)


def permutation_inputs(context: StageContext, number: int) -> Mapping[str, JsonValue]:
    """Return what makes the labels of a permutation, for the key of a unit."""
    study = context.request.study
    return {
        "permutation": number,
        "permutation_seed": study.permutation_seed,
        "permutation_strata": [*study.permutation_strata],
    }


def refitted_cohort(
    context: StageContext,
    entry: Preprocess,
    permuted: EmbeddedCohort,
    cohort: Cohort,
    number: int,
    place: PurePosixPath,
) -> EmbeddedCohort:
    """Choose the genes by permuted labels, log them at `place`, and fit the embeddings on them."""
    also = permutation_inputs(context, number)
    name = permuted_unit(number, f"{entry.tag}/genes")
    genes = genes_of(context, cohort, entry, place, name=name, also=also)
    _, fits = fit_methods(context, cohort, entry, genes, permutation=number, also=also)
    return replace(permuted, scores={method: fit.scores for method, fit in fits.items()})
