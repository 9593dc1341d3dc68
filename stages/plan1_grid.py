"""Go over the grid of Plan 1, one preprocess and one method at a time, and gather what each cell of it gives."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import PurePosixPath
from typing import TypeAlias

import pandas as pd
from pydantic import JsonValue, TypeAdapter

from stagewright.stages.files import save_csv, save_parquet
from stagewright.stages.plan1_embeddings import EmbeddedCohort, embedded_cohorts
from stagewright.stages.plan1_inputs import GridKind, cell_inputs
from stagewright.stages.plan1_tables import SummaryRow
from stagewright.stages.protocol import StageContext, Unit, UnitFailed
from stagewright.stages.refit.predictions import RefittedPredictions
from stagewright.stages.unit_cache import UnitInputs
from stagewright.state.artifacts import ArtifactWriter, Skipped
from stagewright.state.layout import grid_cell
from stagewright.state.step_units import cell_unit

__all__ = ["Beside", "CellResult", "GridResult", "Score", "ScoredCell", "over_grid", "unit_of_cell"]


@dataclass(frozen=True, slots=True)
class CellResult:
    """What one preprocess and method give: a summary row for each penalty, the patients left out, notes."""

    summary: list[SummaryRow]
    skipped: list[Skipped]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ScoredCell:
    """A cell's result with its tables, by file name: a csv or a parquet."""

    result: CellResult
    tables: Mapping[str, pd.DataFrame]


@dataclass(frozen=True, slots=True)
class GridResult:
    """What the whole grid gives, in the order of the grid; each note once. `cells` are whose it is, without scores."""

    summary: list[SummaryRow]
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...]
    cells: EmbeddedCohort

    @property
    def n_cells(self) -> int:
        """Number of cells; they are the same in every preprocess."""
        return len(self.cells.obs)


Score: TypeAlias = Callable[[StageContext, EmbeddedCohort, str], ScoredCell]
Beside: TypeAlias = Callable[[EmbeddedCohort], None]
HeldOut: TypeAlias = Callable[[EmbeddedCohort], Mapping[str, RefittedPredictions]]

_CELL: TypeAdapter[CellResult] = TypeAdapter(CellResult)


def over_grid(
    context: StageContext,
    kind: GridKind,
    score: Callable[..., ScoredCell],
    held_out: HeldOut | None = None,
    *,
    beside: Sequence[Beside] = (),
) -> GridResult:
    """Score every embedding of the grid, each as one unit of work.

    A cell that fails for good, or whose embedding did, is left out where the spec allows that.

    Parameters
    ----------
    kind
        Of the units.
    score
        Scores one method of one embedded cohort; with `held_out` it is also given the method's predictions.
    held_out
        Predicts the cells of one cohort by pipelines that were fitted again in each training fold, by method.
    beside
        What else is done with each cohort while its embeddings are in memory.

    Raises
    ------
    UnitFailed
        When a gene selection fails, or more embeddings or cells than the spec allows, or all; it names the unit.
    ValueError
        When no embedding is there to score.
    """
    cells: list[CellResult] = []
    last: UnitFailed | None = None
    seen: EmbeddedCohort | None = None
    for cohort in embedded_cohorts(context):
        seen = replace(cohort, scores={})
        predicted = None if held_out is None else held_out(cohort)
        for method in cohort.scores if predicted is None else predicted:
            try:
                found = None if predicted is None else predicted[method]
                cells.append(_cell(context, kind, score, cohort, method, found))
            except UnitFailed as failed:
                context.tolerate(failed)
                last = failed
        for also in beside:
            also(cohort)
    if not cells or seen is None:
        raise last or ValueError("no embedding is left to score: all of them failed")
    return GridResult(
        summary=[row for cell in cells for row in cell.summary],
        skipped=tuple(item for cell in cells for item in cell.skipped),
        notes=tuple(dict.fromkeys(note for cell in cells for note in cell.notes)),
        cells=seen,
    )


def _cell(
    context: StageContext,
    kind: GridKind,
    score: Callable[..., ScoredCell],
    cohort: EmbeddedCohort,
    method: str,
    predicted: RefittedPredictions | None,
) -> CellResult:
    request = context.request
    unit = Unit(cell_unit(request.stage, cohort.tag, method), method=method, preprocess=cohort.tag)
    place = grid_cell(request.checkpoint, request.stage, cohort.tag, method)
    if predicted is None:
        return unit_of_cell(context, unit, cell_inputs(kind, request, cohort, method), place, score, cohort)
    inputs = cell_inputs(kind, request, cohort, method, {"predictions": predicted.digest})
    return unit_of_cell(context, unit, inputs, place, partial(score, predicted=predicted), cohort)


def unit_of_cell(
    context: StageContext, unit: Unit, inputs: UnitInputs, place: PurePosixPath, score: Score, cohort: EmbeddedCohort
) -> CellResult:
    """Score one cell of the grid as a unit of work, or take it from the run's cache; its tables go to `place`.

    Parameters
    ----------
    unit
        Names the method among `cohort.scores`.

    Raises
    ------
    UnitFailed
        When it fails.
    """
    with context.unit(unit, inputs) as work:
        if not work.reused:
            scored = score(context, cohort, str(unit.method))
            work.value = _as_json(scored.result)
            work.write(partial(_save, scored.tables))
        work.put_into(context.artifacts, place)
        # Read back even when it was made just now: what follows is then the same in both cases.
        return _from_json(work.value)


def _save(tables: Mapping[str, pd.DataFrame], writer: ArtifactWriter) -> None:
    for name, table in tables.items():
        save = save_parquet if name.endswith(".parquet") else save_csv
        save(writer, PurePosixPath(name), table)


def _as_json(result: CellResult) -> JsonValue:
    """Return a result as JSON, in which a score that is not a number is null."""
    value: JsonValue = json.loads(_CELL.dump_json(result))
    return value


def _from_json(value: JsonValue) -> CellResult:
    restored = json.loads(json.dumps(value))
    for row in restored["summary"]:
        row |= {name: float("nan") for name, entry in row.items() if entry is None}
    return _CELL.validate_python(restored)
