"""The embeddings of Plan 1: for each preprocess, one embedding per method at its chosen K, in one AnnData file.

The first of Plan 1A, 1B and 1C among the study's stages fits and writes them. The others read what it sealed, after
checking its digest.
"""

import json
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import h5py
import numpy as np
import pandas as pd
from anndata import AnnData
from anndata.io import read_elem
from numpy.typing import NDArray
from pydantic import JsonValue
from scipy import sparse

from stagewright.stages.cohort.depth import DETECTED_GENES, LIBRARY_SIZE, Depth, depth_of
from stagewright.stages.cohort.load import Cohort, load_cohort
from stagewright.stages.files import save_h5ad
from stagewright.stages.fits import MatrixFits
from stagewright.stages.gene_unit import genes_of
from stagewright.stages.preprocess.pearson_residuals import PearsonResidualView
from stagewright.stages.preprocess.scale import stored_expression, to_scale
from stagewright.stages.protocol import StageContext, Unit, UnitFailed
from stagewright.stages.reduction.catalogue import FitUnit
from stagewright.stages.reduction.reduction import Reduction
from stagewright.stages.reduction.sweep import SharedMatrix
from stagewright.state.artifacts import read_outcome
from stagewright.state.canonical import digest_file
from stagewright.state.layout import preprocess_folder
from stagewright.state.spec.preprocess import Preprocess
from stagewright.state.spec.reduction import Method
from stagewright.state.step_request import StepRequest
from stagewright.state.step_units import embedding_unit, embeddings_step, permuted_unit

__all__ = ["EmbeddedCohort", "embedded_cohorts", "fit_methods"]

FILE = "adata_with_dr.h5ad"
NOTHING: Mapping[str, JsonValue] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class EmbeddedCohort:
    """The cells of one preprocess with their embeddings.

    Attributes
    ----------
    tag
        Name of the preprocess.
    supervised
        Whether the label took part in its choice of genes.
    obs
        The columns that the goal spec names, indexed by cell name.
    positive
        Whether a cell is of the positive class, shape (n_cells,).
    scores
        By method, float32 of shape (n_cells, k), in the order of the methods; without those that failed for good.
    depth
        How deeply each cell was sequenced; what a trivial prediction goes by, and no feature.
    """

    tag: str
    supervised: bool
    obs: pd.DataFrame
    positive: NDArray[np.bool_]
    scores: Mapping[str, NDArray[np.float32]]
    depth: Depth


def embedded_cohorts(context: StageContext) -> Iterator[EmbeddedCohort]:
    """Yield the embeddings of each preprocess in scope, one at a time.

    Raises
    ------
    ValueError
        When the sealed embeddings of an earlier step were changed, or lack a method or K that the request asks for.
    """
    request = context.request
    maker = embeddings_step(request)
    if maker is None:
        cohort = load_cohort(request, context.artifacts.staging)
        context.workload.is_now(cohort.source.shape, cohort.source.n_nonzero)
        depth = depth_of(cohort.source)
        for entry in request.study.preprocess:
            yield _fit(context, cohort, depth, entry)
        return
    outcome = read_outcome(context.run, request.upstream[maker])
    digests = {item.path: item.sha256 for item in outcome.artifacts}
    failed = {unit.name for unit in outcome.units if unit.how == "failed"}
    for entry in request.study.preprocess:
        path = (preprocess_folder(request.checkpoint, entry.tag) / FILE).as_posix()
        if path not in digests:
            raise ValueError(f"{maker} sealed no embeddings for {entry.tag}; adjust the preprocess list there")
        if digest_file(context.run / path) != digests[path]:
            raise ValueError(f"{path} was changed after {maker} sealed it (its sha256 differs); restore it")
        cohort_of = _read(context.run / path, entry, request, failed)
        context.workload.n_cells = len(cohort_of.obs)
        yield cohort_of


def _fit(context: StageContext, cohort: Cohort, depth: Depth, entry: Preprocess) -> EmbeddedCohort:
    """Select genes, fit one embedding for each method, and write the AnnData file."""
    request = context.request
    folder = preprocess_folder(request.checkpoint, entry.tag)
    genes = genes_of(context, cohort, entry, folder)
    matrix, fits = fit_methods(context, cohort, entry, genes)
    expression, holds = stored_expression(matrix)
    data = AnnData(
        X=expression,
        obs=cohort.obs.assign(**{LIBRARY_SIZE: depth.library_size, DETECTED_GENES: depth.detected_genes}),
        var=pd.DataFrame(index=cohort.var_names[genes]),
        obsm={f"X_{method}": fit.scores for method, fit in fits.items()},
        varm={f"{method}_loadings": fit.loadings for method, fit in fits.items()},
        uns={"stagewright": json.dumps(_provenance(request, entry, fits) | {"x": holds})},
    )
    written = save_h5ad(context.artifacts, folder / FILE, data)
    context.journal.went_into([embedding_unit(entry.tag, fit.method, fit.k) for fit in fits.values()], written.path)
    scores = {method: fit.scores for method, fit in fits.items()}
    return EmbeddedCohort(entry.tag, entry.supervised, cohort.obs, cohort.positive, scores, depth)


def fit_methods(
    context: StageContext,
    cohort: Cohort,
    entry: Preprocess,
    genes: NDArray[np.bool_],
    *,
    permutation: int | None = None,
    also: Mapping[str, JsonValue] = NOTHING,
) -> tuple[sparse.csr_matrix | PearsonResidualView, dict[str, Reduction]]:
    """Fit one embedding for each method, each a unit of work; those that fail for good are left out.

    Parameters
    ----------
    genes
        Those that the entry keeps, shape (n_genes,).
    permutation
        Of the labels, if the genes were chosen by permuted ones.
    also
        What the cohort differs by from the step's own cells and labels.

    Returns
    -------
    The expression of the genes on the study's scale, shape (n_cells, n_kept), and the fits by method, in the order of
    the study.
    """
    request, study = context.request, context.request.study
    matrix = to_scale(cohort.source, genes, study.normalisation)
    matrix_fits = MatrixFits(context, cohort, entry, SharedMatrix(matrix), also=also)

    def fit(method: Method) -> Reduction | None:
        k = request.k_by_method[method]
        name = embedding_unit(entry.tag, method, k)
        name = name if permutation is None else permuted_unit(permutation, name)
        unit = Unit(name, method=method, k=k, preprocess=entry.tag)
        try:
            return matrix_fits.fit(unit, FitUnit(method, k, study.seeds[0]))
        except UnitFailed as failed:
            context.tolerate(failed)
            return None

    try:
        done = context.map(fit, study.methods)
    finally:
        matrix_fits.forget()
    found = zip(study.methods, done, strict=True)
    return matrix, {str(method): reduction for method, reduction in found if reduction is not None}


def _provenance(request: StepRequest, entry: Preprocess, fits: Mapping[str, Reduction]) -> dict[str, object]:
    """Return how the embeddings came about: nothing of this run alone, so that another run gives the same bytes."""
    return {
        "step": request.step,
        "preprocess": entry.model_dump(mode="json"),
        "normalisation": str(request.study.normalisation),
        "seed": request.study.seeds[0],
        "methods": {method: {"k": fit.k, "extras": fit.extras} for method, fit in fits.items()},
    }


def _read(path: Path, entry: Preprocess, request: StepRequest, failed: Container[str]) -> EmbeddedCohort:
    """Read what an earlier step sealed, but for the embeddings that `failed` there."""
    tag = entry.tag
    with h5py.File(path, "r") as file:
        made_by = json.loads(read_elem(file["uns/stagewright"]))["preprocess"]
        obs: pd.DataFrame = read_elem(file["obs"])
        scores = {name.removeprefix("X_"): np.asarray(array[:]) for name, array in file["obsm"].items()}
    if made_by != entry.model_dump(mode="json"):
        raise ValueError(f"{path} was made with other parameters ({made_by}); adjust the preprocess list there")
    kept: dict[str, NDArray[np.float32]] = {}
    for method in request.study.methods:
        k = request.k_by_method[method]
        if method in scores and scores[method].shape[1] == k:
            kept[method] = scores[method]
        elif embedding_unit(tag, method, k) not in failed:
            raise ValueError(
                f"{path} has no {method} embedding with K={k}; methods and K are adjusted where it was made",
            )
    positive = (obs[request.scope.label.column].astype(str) == request.scope.label.positive).to_numpy()
    if not {LIBRARY_SIZE, DETECTED_GENES} <= set(obs.columns):
        raise ValueError(f"{path} says nothing of the depth of its cells (an earlier version made it); make it again")
    depth = Depth(obs[LIBRARY_SIZE].to_numpy(np.float64), obs[DETECTED_GENES].to_numpy(np.int64))
    return EmbeddedCohort(tag, entry.supervised, obs, positive, kept, depth)
