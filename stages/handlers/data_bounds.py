"""Whether the data can carry a proposal: K against the cells and genes, cells of a patient against the folds."""

from collections.abc import Mapping

from stagewright.stages.handlers.case import FailedCase
from stagewright.stages.handlers.expected_memory import expected_cells
from stagewright.stages.largest_k import largest_k, largest_k_named
from stagewright.stages.peak_memory import expected_genes
from stagewright.state.spec import Adjustments, EffectiveStudy, GoalSpec, effective_study
from stagewright.state.spec.goal import CHECKPOINTS
from stagewright.state.spec.preprocess import Hvg, Preprocess
from stagewright.state.spec.scales import scale_of

__all__ = ["fits_data"]

MINORITY_SHARE = 4
"""A draw of a patient's cells keeps at least a quarter of the smaller class."""


def fits_data(case: FailedCase, wanted: GoalSpec, chosen: Mapping[str, int]) -> bool:
    """Return whether nothing that is known of the data speaks against a changed spec.

    Parameters
    ----------
    chosen
        K that the proposal takes instead of Plan 0's choice, by method.
    """
    if not _folds_fit(case, wanted):
        return False
    if not case.built_in:
        return True
    study = effective_study(wanted, Adjustments(), case.state.checkpoint)
    if case.state.stage == "plan0":
        ks = {str(method): max(values) for method, values in study.ks.items()}
        matrices: tuple[Preprocess, ...] = (study.reference,)
    else:
        known = {**case.state.k_by_method, **chosen}
        ks = {str(method): known[method] for method in study.methods if method in known}
        matrices = study.preprocess
    return _named_bound_kept(case, study, ks) and all(_carries(case, wanted, entry, ks) for entry in matrices)


def _folds_fit(case: FailedCase, wanted: GoalSpec) -> bool:
    """Return whether every fold of a patient would have cells of both classes, where the number of cells changes."""
    folds = wanted.classifier.cv.folds if {"plan1b", "plan1c"} & set(wanted.stages) else 1
    numbers = [(scale_of(case.spec, name), scale_of(wanted, name)) for name in CHECKPOINTS]
    changed = [new.cells_per_patient for old, new in numbers if old.cells_per_patient != new.cells_per_patient]
    return all(cells is None or cells // MINORITY_SHARE >= folds for cells in changed)


def _named_bound_kept(case: FailedCase, study: EffectiveStudy, ks: Mapping[str, int]) -> bool:
    """Return whether the method that failed gets a K that its error allows, if it is to meet the same matrix again."""
    method, largest = case.failure.method, largest_k_named(case.failure.error)
    if method is None or method not in ks or largest is None:
        return True
    if case.state.stage == "plan0":
        again = study.reference == case.study.reference
    else:
        again = case.failure.preprocess in {entry.tag for entry in study.preprocess}
    return not again or ks[method] <= largest


def _carries(case: FailedCase, wanted: GoalSpec, entry: Preprocess, ks: Mapping[str, int]) -> bool:
    """Return whether a matrix has room for the largest K; unknown where the preprocess does not say its genes."""
    if not isinstance(entry, Hvg):
        return True
    cells, genes = expected_cells(case, wanted), case.failure.n_genes
    n_genes = entry.n_top_genes if genes is None else expected_genes(entry, genes)
    return all(k <= largest_k(method, cells or n_genes + 1, n_genes) for method, k in ks.items())
