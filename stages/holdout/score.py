"""Fit one configuration to all working patients, as one cohort, and score it on the patients that were put aside.

Genes, scale, reduction and classifier see the working patients alone; the others are scored by `transform` and by the
fitted classifier, as a new patient would be. Nothing is read from the run's caches or embeddings: what the score rests
on is the data and the configuration.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from stagewright.stages.classify.logistic_path import fit_logistic_path
from stagewright.stages.classify.metrics import roc_auc
from stagewright.stages.classify.standardise import fit_standardisation
from stagewright.stages.cohort.depth import depth_of
from stagewright.stages.cohort.load import Cohort, load_cohort
from stagewright.stages.fits import fitted, settings_of
from stagewright.stages.plan1_embeddings import EmbeddedCohort
from stagewright.stages.plan1c_draws import training_draws
from stagewright.stages.plan1c_parts import ALL
from stagewright.stages.preprocess.gene_sets import GeneSets
from stagewright.stages.preprocess.normalise import TARGET_SUM
from stagewright.stages.preprocess.pearson_residuals import PearsonResidualView
from stagewright.stages.preprocess.scale import to_scale
from stagewright.stages.preprocess.select import select_genes
from stagewright.stages.reduction.catalogue import FitUnit
from stagewright.stages.reduction.sweep import SharedMatrix
from stagewright.stages.reduction.transform import transform
from stagewright.state.spec.data import DataScope
from stagewright.state.spec.downsampling import Downsampling
from stagewright.state.spec.normalisation import NoNormalisation, Normalisation
from stagewright.state.spec.preprocess import Preprocess
from stagewright.state.step_request import StepRequest

__all__ = ["Configuration", "HeldOutAucs", "score_patients"]


@dataclass(frozen=True, slots=True)
class Configuration:
    """What is fitted.

    Attributes
    ----------
    l1_ratio
        Share of the L1 part of the penalty, in [0, 1].
    alpha
        Strength of the penalty.
    downsampling
        Which cells the classifier is trained on.
    """

    name: str
    preprocess: Preprocess
    method: str
    k: int
    l1_ratio: float
    alpha: float
    downsampling: Downsampling


@dataclass(frozen=True, slots=True)
class HeldOutAucs:
    """Area under the ROC curve of each patient with both classes, shape (n_patients,), and how many cells they have."""

    auc: NDArray[np.float64]
    n_cells: int


def score_patients(
    request: StepRequest, held_out: DataScope, what: Configuration, gene_sets: GeneSets | None = None
) -> HeldOutAucs:
    """Return how well the cells of each patient put aside are told apart by a model of the others.

    Parameters
    ----------
    request
        The data, the scope of the working patients, and the study.
    held_out
        The scope of the patients put aside.
    gene_sets
        Of the preprocess, if it is a list of genes.

    Raises
    ------
    CohortUnreadable, CountsUnusable
        The data are not those that were sealed, or a patient put aside has values that are no counts.
    ValueError
        When genes cannot be selected or a fit fails.
    """
    working, others = load_cohort(request), load_cohort(request.model_copy(update={"scope": held_out}))
    normalisation = request.study.normalisation
    target_sum = getattr(normalisation, "target_sum", TARGET_SUM)
    genes = select_genes(what.preprocess, working, gene_sets=gene_sets, target_sum=target_sum).mask
    scaled = to_scale(working.source, genes, normalisation)
    unit = FitUnit(what.method, what.k, request.study.seeds[0])
    reduction = fitted(SharedMatrix(scaled), unit, settings_of(request.study))
    # Scores of the training cells by `transform` too, so that all cells are scored the same way.
    own = transform(reduction, scaled).astype(np.float64)
    unseen = transform(reduction, _as_seen(others, genes, scaled, normalisation)).astype(np.float64)
    decision = _decision(own, unseen, working, what, request.scope)
    return _by_patient(decision, others)


def _as_seen(
    others: Cohort,
    genes: NDArray[np.bool_],
    training: sparse.csr_matrix | PearsonResidualView,
    normalisation: Normalisation,
) -> sparse.csr_matrix | PearsonResidualView:
    """Return other cells on the scale of the training cells."""
    if not isinstance(training, PearsonResidualView):
        return to_scale(others.source, genes, normalisation)
    counts = to_scale(others.source, genes, NoNormalisation(method="none"))
    if isinstance(counts, PearsonResidualView):
        raise TypeError("counts are no residuals")
    return training.of_other_cells(counts, others.source.totals)


def _decision(
    own: NDArray[np.float64],
    unseen: NDArray[np.float64],
    working: Cohort,
    what: Configuration,
    scope: DataScope,
) -> NDArray[np.float64]:
    """Fit the classifier to the working cells and return the logits of the others, shape (n_others,)."""
    embedded = EmbeddedCohort(
        what.preprocess.tag, what.preprocess.supervised, working.obs, working.positive, {}, depth_of(working.source)
    )
    draws = training_draws(what.downsampling, embedded, scope)
    rows = np.arange(working.n_cells)
    trained = rows if draws is None else draws.refit(ALL, rows)
    standardisation = fit_standardisation(own[trained])
    x, y = standardisation.apply(own[trained]), working.positive[trained]
    path = fit_logistic_path(x, y, np.asarray([what.alpha]), l1_ratio=what.l1_ratio)
    return path.decision(standardisation.apply(unseen))[:, 0]


def _by_patient(decision: NDArray[np.float64], others: Cohort) -> HeldOutAucs:
    names = others.patients.astype(str).to_numpy(dtype=str)
    aucs: list[float] = []
    n_cells = 0
    for name in np.unique(names):
        rows = names == name
        labels = others.positive[rows]
        if labels.any() and not labels.all():
            aucs.append(float(roc_auc(decision[rows], labels)))
            n_cells += int(rows.sum())
    return HeldOutAucs(np.asarray(aucs), n_cells)
