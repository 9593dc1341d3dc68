"""How much of a study a proposal gives up, so that the one that changes least can come first.

A study's work is counted in units over all its steps. A unit that is no longer run is given up as a whole; one that
sees fewer genes or cells is given up by the share of them that it no longer sees.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from stagewright.stages.catalogue import count_units
from stagewright.state.spec import Adjustments, EffectiveStudy, GoalSpec, compare, effective_study
from stagewright.state.spec.goal import CHECKPOINTS
from stagewright.state.spec.preprocess import AllFiltered, Preprocess

__all__ = ["Harm", "harm_of"]

LEAVES_RESULTS = frozenset({"workers", "runtime", "memory", "retries"})
UNKNOWN_SHARE = 0.5
"""What stays of the cells when all of a patient's are cut to a number, and nobody knows how many there were."""


@dataclass(frozen=True, slots=True, order=True)
class Harm:
    """What a change does to a study; compared field by field.

    Attributes
    ----------
    changes_results
        Whether any number in the results may become another one.
    given_up
        Share of the study's work that is lost, in [0, 1].
    cost
        For changes that lose equally much: fewer workers cost up to 1, a doubled budget 2.
    """

    changes_results: bool
    given_up: float
    cost: float


def harm_of(
    before: GoalSpec,
    after: GoalSpec,
    *,
    workers: int,
    chosen: Mapping[str, int] | None = None,
    average_cells: float | None = None,
) -> Harm:
    """Return what changing one spec into another does to a study.

    Parameters
    ----------
    workers
        Units that were run side by side before.
    chosen
        K that the change takes instead of Plan 0's choice, by method.
    average_cells
        Cells of a patient on average where all are taken; None when that is not known.
    """
    fields = {change.field for change in compare(before, after)}
    kept = _work(before, after, average_cells)
    slower = 0.0 if after.budget.workers is None else max(0.0, 1 - after.budget.workers / workers)
    budgets = ((before.budget.runtime, after.budget.runtime), (before.budget.memory, after.budget.memory))
    dearer = sum(1 + math.log2(new / old) for old, new in budgets if new > old)
    cost = (slower if "workers" in fields else 0.0) + dearer
    changes = bool(fields - LEAVES_RESULTS) or bool(chosen)
    return Harm(changes_results=changes, given_up=round(max(0.0, 1 - kept), 6), cost=round(cost, 6))


def _work(before: GoalSpec, after: GoalSpec, average_cells: float | None) -> float:
    """Return the share of the work before that is still done after."""
    planned = kept = 0.0
    for checkpoint in CHECKPOINTS:
        old, new = (effective_study(spec, Adjustments(), checkpoint) for spec in (before, after))
        for stage in before.stages:
            units = count_units(stage, old, before.stages)
            planned += units
            left = min(units, count_units(stage, new, after.stages))
            kept += left * _genes(stage, old, new) * _cells(old, new, average_cells)
    return kept / planned if planned else 1.0


def _genes(stage: str, old: EffectiveStudy, new: EffectiveStudy) -> float:
    """Return the share of the genes that the units of a stage still see."""
    if stage == "plan0":
        return _kept_genes(old.reference, new.reference)
    if stage not in ("plan1a", "plan1b", "plan1c", "plan2"):
        return 1.0
    same = {entry.tag for entry in old.preprocess} & {entry.tag for entry in new.preprocess}
    left = [entry for entry in old.preprocess if entry.tag not in same]
    changed = [entry for entry in new.preprocess if entry.tag not in same]
    shares = [_kept_genes(one, other) for one, other in zip(left, changed, strict=False)]
    return (len(same) + sum(shares)) / (len(same) + len(shares)) if same or shares else 1.0


def _kept_genes(old: Preprocess, new: Preprocess) -> float:
    """Return the share of genes that a changed preprocess keeps; of two that cannot be compared, all."""
    if isinstance(old, AllFiltered) and isinstance(new, AllFiltered):
        # About as many genes are lost by a bound as it is higher, in the root: see `stages.peak_memory`.
        return min(1.0, math.sqrt(old.min_cells_fraction / new.min_cells_fraction))
    wanted: Iterable[int | None] = (getattr(entry, "n_top_genes", None) for entry in (old, new))
    before, after = wanted
    return 1.0 if before is None or after is None else min(1.0, after / before)


def _cells(old: EffectiveStudy, new: EffectiveStudy, average_cells: float | None) -> float:
    if new.cells_per_patient is None or old.cells_per_patient == new.cells_per_patient:
        return 1.0
    if old.cells_per_patient is not None:
        return min(1.0, new.cells_per_patient / old.cells_per_patient)
    return UNKNOWN_SHARE if average_cells is None else min(1.0, new.cells_per_patient / average_cells)
