"""Plan 2: negative controls. The labels are permuted within strata and put through the whole of Plan 1 again.

The functions that score the observed labels score the permuted ones: the same folds, penalties, choice of strength and
choice of the best configuration; where the label chose genes, it chooses them again. Whatever score comes out is what
the procedure gives when expression says nothing about the label. Permuting within strata keeps the classes' shares in
each of them; where these differ, recognising the stratum scores above 0.5. So leaks are looked for in the AUC within
strata, over pairs of cells of one stratum: out of fold it lies at 0.5 unless the label leaked into what was fitted.

What it cannot show: a confounder that varies within a stratum (a technology, a cell cycle phase) is permuted away with
the label, so that an observed score may still rest on it; and a label that is constant within a stratum cannot be
permuted there, so that differences between patients are not tested. `strata.csv` lists those strata.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import pandas as pd

from stagewright.stages.files import save_csv
from stagewright.stages.negative_controls.mirrors import MIRRORS, judged_stage, scope_of
from stagewright.stages.negative_controls.notes import limit_notes, result_notes
from stagewright.stages.negative_controls.observed import observed_rows, observed_within
from stagewright.stages.negative_controls.permute_labels import Stratum, strata_of, stratum_numbers
from stagewright.stages.negative_controls.permuted_grid import PermutedCell, permuted_grid
from stagewright.stages.negative_controls.summary import (
    Best,
    Configuration,
    Scored,
    best_under_permutation,
    configuration_of,
    model_of,
    summary_row,
)
from stagewright.stages.plan1_embeddings import EmbeddedCohort, embedded_cohorts
from stagewright.stages.plan1_tables import (
    SummaryRow,
    best_row,
    configurations,
    eligible,
)
from stagewright.stages.protocol import StageContext, StageResult
from stagewright.stages.refit.cohort_once import CohortOnce
from stagewright.state.artifacts import Skipped
from stagewright.state.layout import analysis, permuted_grid_folder

__all__ = ["run"]


def run(context: StageContext) -> StageResult:
    """Put permuted labels through the mirrored stages and compare the scores.

    Raises
    ------
    UnitFailed
        When a gene selection fails, or more units than the spec allows; it names the unit.
    ValueError
        When a mirrored stage has no sealed result, no stratum has both classes, or nothing could be scored.
    """
    request, study = context.request, context.request.study
    observed = observed_rows(context)
    cells: list[PermutedCell] = []
    strata: list[Stratum] = []
    stratum_of = pd.Series(dtype=int)
    counts = CohortOnce(context)
    n_cells = 0
    for entry, embedded in zip(study.preprocess, embedded_cohorts(context), strict=True):
        if not strata:
            strata = _strata(context, embedded)
            stratum_of = stratum_numbers(strata, embedded.obs.index)
            n_cells = len(embedded.obs)
        cells += permuted_grid(context, entry, embedded, strata, counts)
    table = _summary(context, observed, cells, stratum_of)
    if not table:
        raise ValueError("no configuration has a score under both the observed and the permuted labels")
    folder = analysis(request.checkpoint) / "plan2"
    save_csv(context.artifacts, folder / "negative_controls_summary.csv", pd.DataFrame(table))
    judged = judged_stage(study.mirrored)
    best = _best(judged, observed[judged], cells, scope_of(judged, study.scope))
    return StageResult(
        metrics={
            f"plan2.best.{'auc_in_sample' if MIRRORS[judged].in_sample else 'auc'}": max(best.permuted),
            "plan2.excess": best.excess,
            "plan2.p": best.p,
            "plan2.n_above_chance": float(sum(bool(row["above_chance"]) for row in table)),
        },
        configurations=configurations(table),
        skipped=_skipped(cells),
        notes=(*result_notes(study, table, best, judged), *limit_notes(study, strata)),
        n_cells=n_cells,
    )


def _strata(context: StageContext, embedded: EmbeddedCohort) -> list[Stratum]:
    """Return the strata and list them in `strata.csv`."""
    request = context.request
    strata = strata_of(embedded.obs, request.study.permutation_strata, embedded.positive)
    if not any(stratum.permutable for stratum in strata):
        raise ValueError(
            f"none of the {len(strata)} strata of {' x '.join(request.study.permutation_strata)} has cells of both "
            "classes, so there is nothing to permute; plan a new run with coarser negative_controls.strata"
        )
    table = pd.DataFrame(
        {
            "stratum": [stratum.name for stratum in strata],
            "n_cells": [len(stratum.rows) for stratum in strata],
            "n_positive": [stratum.n_positive for stratum in strata],
            "n_negative": [stratum.n_negative for stratum in strata],
            "permuted": [stratum.permutable for stratum in strata],
            "log10_arrangements": [stratum.log10_arrangements for stratum in strata],
            "reason": ["" if stratum.permutable else "one class: the label is constant" for stratum in strata],
        }
    )
    save_csv(context.artifacts, analysis(request.checkpoint) / "plan2" / "strata.csv", table)
    return strata


def _summary(
    context: StageContext,
    observed: Mapping[str, Sequence[SummaryRow]],
    cells: Sequence[PermutedCell],
    stratum_of: pd.Series,
) -> list[SummaryRow]:
    """Write the summary of each permutation in its stage's own form, and return the rows that compare them all."""
    request = context.request
    table: list[SummaryRow] = []
    for stage in request.study.mirrored:
        mirror = MIRRORS[stage]
        mine = [cell for cell in cells if cell.stage == stage]
        for number, rows in _by_permutation(mine).items():
            best = best_row(eligible(rows, scope_of(stage, request.study.scope)), mirror.column)
            marked = pd.DataFrame(rows).assign(best=[row is best for row in rows])
            place = permuted_grid_folder(request.checkpoint, number, stage) / f"{stage}_summary.csv"
            save_csv(context.artifacts, place, marked)
        scored: dict[Configuration, Scored] = defaultdict(Scored)
        for cell in mine:
            for row in cell.result.summary:
                scored[configuration_of(row)].scores.append(float(row[mirror.column]))
                if model_of(row) in cell.within:
                    scored[configuration_of(row)].within.append(cell.within[model_of(row)])
        pairs = [] if mirror.in_sample else [key[:2] for key in scored]
        seen = {pair: observed_within(context, stage, *pair, stratum_of) for pair in dict.fromkeys(pairs)}
        for row in observed[stage]:
            key = configuration_of(row)
            if key in scored:
                within = seen[key[:2]].get(key[2]) if seen else None
                table.append(summary_row(stage, mirror.column, row, within, scored[key], len(observed[stage])))
    return table


def _by_permutation(cells: Sequence[PermutedCell]) -> dict[int, list[SummaryRow]]:
    rows: dict[int, list[SummaryRow]] = defaultdict(list)
    for cell in cells:
        rows[cell.permutation] += cell.result.summary
    return {number: rows[number] for number in sorted(rows)}


def _best(stage: str, observed: Sequence[SummaryRow], cells: Sequence[PermutedCell], scope: str) -> Best:
    """Compare the best configurations of one stage among those that have a score under every labelling."""
    permuted = _by_permutation([cell for cell in cells if cell.stage == stage])
    everywhere = {configuration_of(row) for row in observed}
    for rows in permuted.values():
        everywhere &= {configuration_of(row) for row in rows}
    if not everywhere:
        raise ValueError(f"no configuration of {stage} has a score under every permutation")
    return best_under_permutation(
        MIRRORS[stage].column,
        [row for row in observed if configuration_of(row) in everywhere],
        {number: [row for row in rows if configuration_of(row) in everywhere] for number, rows in permuted.items()},
        scope,
    )


def _skipped(cells: Sequence[PermutedCell]) -> tuple[Skipped, ...]:
    """Return the patients left out, each once for each stage and cell of the grid."""
    found = {}
    for cell in cells:
        for item in cell.result.skipped:
            where = f"{cell.stage}/{item.where}"
            found[item.patient, where] = item.model_copy(update={"where": where})
    return tuple(found.values())
