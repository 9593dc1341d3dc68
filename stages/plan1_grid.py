"""Go over the grid of Plan 1, one preprocess and one method at a time, and gather what each cell of it gives."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from stagewright.stages.plan1_embeddings import EmbeddedCohort, embedded_cohorts
from stagewright.stages.plan1_tables import SummaryRow
from stagewright.stages.protocol import StageContext, Unit
from stagewright.state.artifacts import Skipped

__all__ = ["CellResult", "GridResult", "over_grid"]


@dataclass(frozen=True, slots=True)
class CellResult:
    """What one preprocess and method give: a summary row for each penalty, the patients left out, notes."""

    summary: list[SummaryRow]
    skipped: list[Skipped]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class GridResult:
    """What the whole grid gives, in the order of the grid; each note once."""

    summary: list[SummaryRow]
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...]
    n_cells: int


Score: TypeAlias = Callable[[StageContext, EmbeddedCohort, str], CellResult]


def over_grid(context: StageContext, what: str, score: Score) -> GridResult:
    """Score every embedding of the grid, each as one unit of work.

    Parameters
    ----------
    what
        The last part of the unit's name, e.g. ``paths``.
    score
        Scores one method of one embedded cohort and writes its tables.

    Raises
    ------
    UnitFailed
        When a gene selection, an embedding or its scoring fails; it names the unit.
    """
    cells: list[CellResult] = []
    n_cells = 0
    for cohort in embedded_cohorts(context):
        n_cells = len(cohort.obs)
        for method in context.request.study.methods:
            with context.unit(Unit(f"{cohort.tag}/{method}/{what}", method=method, preprocess=cohort.tag)):
                cells.append(score(context, cohort, method))
    return GridResult(
        summary=[row for cell in cells for row in cell.summary],
        skipped=tuple(item for cell in cells for item in cell.skipped),
        notes=tuple(dict.fromkeys(note for cell in cells for note in cell.notes)),
        n_cells=n_cells,
    )
