"""The peak that a step is expected to reach with a proposal: the formula's ratio, times what was measured."""

from collections.abc import Mapping

from stagewright.stages.handlers.case import MEMORY_KINDS, FailedCase
from stagewright.stages.peak_memory import DataSize, peak_memory_bytes
from stagewright.state.spec import Adjustments, EffectiveStudy, GoalSpec, effective_study
from stagewright.state.step_units import sealed_embeddings

__all__ = ["expected_cells", "expected_memory"]

USUAL_DENSITY = 0.1
"""Share of stored values where nobody counted them."""


def expected_cells(case: FailedCase, wanted: GoalSpec) -> int | None:
    """Return about how many cells the present checkpoint looks at with a changed spec; None when that is not known."""
    cells = case.failure.n_cells
    old, new = case.study.cells_per_patient, _study(case, wanted).cells_per_patient
    if cells is None or new is None or new == old:
        return cells
    if old is not None:
        return max(1, round(cells * min(1.0, new / old)))
    return None if case.n_patients is None else min(cells, new * case.n_patients)


def expected_memory(
    case: FailedCase, wanted: GoalSpec, *, workers: int, chosen: Mapping[str, int] | None = None
) -> int | None:
    """Return the expected peak in bytes; None where the sizes are not known or the stage is a command.

    Where memory was short the attempt was ended on its way up, so that its need is at least the limit it met.

    Parameters
    ----------
    wanted
        The spec with the proposal applied.
    chosen
        K that the proposal takes instead of Plan 0's choice.
    """
    failure, resources = case.failure, case.resources
    cells = expected_cells(case, wanted)
    if resources is None or failure.n_cells is None or failure.n_genes is None or cells is None:
        return None
    stored = failure.n_nonzero
    if stored is None:
        stored = round(USUAL_DENSITY * failure.n_cells * failure.n_genes)
    before = DataSize(failure.n_cells, failure.n_genes, stored)
    after = DataSize(cells, failure.n_genes, round(stored * cells / max(1, failure.n_cells)))
    stage, k_by_method = case.state.stage, case.state.k_by_method
    embedded = sealed_embeddings(stage, case.state.checkpoint, case.state.sealed) is not None
    old = peak_memory_bytes(stage, case.study, k_by_method, before, workers=case.workers, embedded=embedded)
    new = peak_memory_bytes(
        stage, _study(case, wanted), {**k_by_method, **(chosen or {})}, after, workers=workers, embedded=embedded
    )
    if old is None or new is None:
        return None
    measured = resources.peak_rss_bytes
    if failure.kind in MEMORY_KINDS:
        measured = max(measured, resources.memory_limit_bytes)
    return round(measured * new / old)


def _study(case: FailedCase, spec: GoalSpec) -> EffectiveStudy:
    return effective_study(spec, Adjustments(), case.state.checkpoint)
