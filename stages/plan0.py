"""Plan 0: sweep K for each method on one reference preprocess, measure how stable the components are, choose K.

A method whose result depends on its seed is fitted once for each seed; the components of all pairs of fits are matched
one to one. A seed-invariant method (exact PCA) is fitted once for each K, and its stability is said not to apply rather
than reported as 1. The rule that chooses K is that of `stability.choose_k`.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pandas as pd
from pydantic import JsonValue

from stagewright.stages.classify.threads import map_nogil
from stagewright.stages.cohort.load import Cohort, load_cohort
from stagewright.stages.files import save_array, save_csv
from stagewright.stages.fits import MatrixFits
from stagewright.stages.gene_unit import genes_of
from stagewright.stages.preprocess.scale import to_scale
from stagewright.stages.protocol import StageContext, StageResult, Unit, UnitFailed
from stagewright.stages.reduction.catalogue import METHODS, FitUnit, plan_units
from stagewright.stages.reduction.reduction import Reduction
from stagewright.stages.reduction.sweep import SharedMatrix
from stagewright.stages.stability.choose_k import STABILITY_FLOOR, KChoice, KRow, choose_k
from stagewright.stages.stability.consensus import consensus_clusters
from stagewright.stages.stability.consensus_loadings import consensus_loadings
from stagewright.stages.stability.pairwise import PairwiseStability, pairwise_stability
from stagewright.state.layout import analysis, k_folder, replicate_folder
from stagewright.state.spec.data import DataScope
from stagewright.state.step_units import fit_unit

__all__ = ["run"]


@dataclass(frozen=True, slots=True)
class _Fitted:
    """What is kept of one fit once its files are written."""

    seed: int
    loadings: np.ndarray
    explained: float
    objective: float
    converged: bool


def run(context: StageContext) -> StageResult:
    """Fit the sweep, write each replicate, and choose K for each method.

    Raises
    ------
    UnitFailed
        When no genes can be selected, or more fits fail for good than the spec allows, or all of a method.
    """
    request, study = context.request, context.request.study
    cohort = load_cohort(request)
    context.workload.is_now(cohort.counts.shape, cohort.counts.nnz)
    folder = analysis(request.checkpoint) / "plan0"
    genes = genes_of(context, cohort, study.reference, folder)
    matrix = to_scale(cohort.counts, genes, study.normalisation)
    save_csv(context.artifacts, folder / "cells.csv", _cells(cohort, request.scope))
    fitted = _sweep(context, MatrixFits(context, cohort, study.reference, SharedMatrix(matrix)))
    rows, choices = _summaries(context, fitted)
    save_csv(context.artifacts, folder / "k_selection_summary.csv", pd.DataFrame(rows))
    return StageResult(
        metrics=_metrics(rows, choices),
        k_by_method={method: choice.k for method, choice in choices.items()},
        k_shortlist={method: choice.shortlist for method, choice in choices.items()},
        notes=tuple(f"{method}: {choice.reason}" for method, choice in choices.items()),
        n_cells=cohort.n_cells,
    )


def _cells(cohort: Cohort, scope: DataScope) -> pd.DataFrame:
    """Return which cell each row of the scores is."""
    columns = {"patient": scope.patient, "label": scope.label.column}
    if scope.timepoint is not None:
        columns["timepoint"] = scope.timepoint.column
    return pd.DataFrame({"cell": cohort.obs.index} | {name: cohort.column(column) for name, column in columns.items()})


def _sweep(context: StageContext, fits: MatrixFits) -> Mapping[tuple[str, int], list[_Fitted]]:
    """Fit every unit; return what is needed to compare them, by method and K, without those that failed for good."""
    study = context.request.study
    units = plan_units(study.methods, {str(method): ks for method, ks in study.ks.items()}, study.seeds)
    # The largest first: the last units to run are then the shortest, and no worker waits long for another.
    units.sort(key=lambda unit: (unit.method != "fa", -unit.k, unit.seed))
    failures: dict[str, UnitFailed] = {}

    def fit(what: FitUnit) -> _Fitted | None:
        unit = Unit(fit_unit(what.method, what.k, what.seed), method=what.method, k=what.k)
        place = replicate_folder(context.request.checkpoint, what.method, what.k, what.seed)
        try:
            return _kept(what.seed, fits.fit(unit, what, place))
        except UnitFailed as failed:
            context.tolerate(failed)
            failures[what.method] = failed
            return None

    fitted: dict[tuple[str, int], list[_Fitted]] = defaultdict(list)
    for unit, kept in zip(units, map_nogil(fit, units, context.request.workers), strict=True):
        if kept is not None:
            fitted[unit.method, unit.k].append(kept)
    for method, failed in failures.items():
        if not any(name == method for name, _ in fitted):
            raise failed  # nothing is left to choose K from
    return MappingProxyType({key: sorted(kept, key=lambda item: item.seed) for key, kept in fitted.items()})


def _kept(seed: int, reduction: Reduction) -> _Fitted:
    return _Fitted(
        seed=seed,
        loadings=reduction.loadings,
        explained=float(str(reduction.extras["explained"])),
        objective=float(str(reduction.extras["objective"])),
        converged=bool(reduction.extras["converged"]),
    )


def _summaries(
    context: StageContext,
    fitted: Mapping[tuple[str, int], list[_Fitted]],
) -> tuple[list[dict[str, object]], dict[str, KChoice]]:
    """Compare the replicates of each method and K, write the comparisons, and choose K for each method."""
    study = context.request.study
    rows: list[dict[str, object]] = []
    choices: dict[str, KChoice] = {}
    floor = context.request.gates.get("stability_floor", {}).get("at_least", STABILITY_FLOOR)
    for method in study.methods:
        measured = [_measure(context, method, k, fitted[method, k]) for k in study.ks[method] if (method, k) in fitted]
        choice = choose_k(_comparable([row for row, _ in measured]), stability_floor=floor)
        choices[method] = choice
        rows += [
            figures
            | {
                "chosen": row.k == choice.k,
                "shortlisted": row.k in choice.shortlist,
                "reason": choice.reason if row.k == choice.k else "",
            }
            for row, figures in measured
        ]
    return rows, choices


def _comparable(rows: list[KRow]) -> list[KRow]:
    """Return the K among which one is chosen: not those that failed seeds left without a stability, if others have."""
    return [row for row in rows if row.median_stability is not None] or rows


def _measure(context: StageContext, method: str, k: int, fits: list[_Fitted]) -> tuple[KRow, dict[str, object]]:
    loadings = [item.loadings for item in fits]
    stability = pairwise_stability(loadings)
    consensus = consensus_clusters(loadings, signed=METHODS[method].signed)
    kind = "seed-invariant" if METHODS[method].seed_invariant else "seed"
    seeds = [item.seed for item in fits]
    folder = k_folder(context.request.checkpoint, method, k)
    summary: dict[str, JsonValue] = {"method": method, "k": k, "replicates": kind, "n_seeds": len(fits)}
    summary |= {**stability.summary(), "pairs": _pairs(stability, seeds)}
    context.artifacts.write_json(folder / "pairwise_stability_summary.json", summary)
    if stability.applicable:
        context.artifacts.write_json(
            folder / "consensus_cache" / "consensus.json",
            {
                "silhouette": consensus.silhouette,
                "n_complete": consensus.n_complete,
                "seeds": [*seeds],
                "labels": consensus.labels.tolist(),
            },
        )
        joined = consensus_loadings(loadings, consensus.labels, signed=METHODS[method].signed)
        save_array(context.artifacts, folder / "consensus_cache" / "consensus_loadings.npy", joined)
    explained = float(np.mean([item.explained for item in fits]))
    figures: dict[str, object] = {
        "method": method,
        "k": k,
        "n_seeds": len(fits),
        "replicates": kind,
        "stability_mean": stability.mean,
        "stability_median": stability.median,
        "stability_fraction_below_0.3": stability.fraction_low,
        "consensus_silhouette": consensus.silhouette if stability.applicable else None,
        "explained": explained,
        "objective": min(item.objective for item in fits),
        "converged": sum(item.converged for item in fits),
    }
    return KRow(k, stability.median, explained), figures


def _pairs(stability: PairwiseStability, seeds: list[int]) -> list[JsonValue]:
    return [
        {
            "seeds": [seeds[first], seeds[second]],
            "mean": float(matched.mean()),
            "median": float(np.median(matched)),
            "row_max_mean": float(highest.mean()),
            "components": [round(float(value), 6) for value in matched],
        }
        for (first, second), matched, highest in zip(stability.pairs, stability.matched, stability.highest, strict=True)
    ]


def _metrics(rows: list[dict[str, object]], choices: Mapping[str, KChoice]) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for row in rows:
        method = str(row["method"])
        if row["chosen"]:
            metrics[f"plan0.{method}.k"] = float(choices[method].k)
            metrics[f"plan0.{method}.explained"] = float(str(row["explained"]))
            if row["stability_median"] is not None:
                metrics[f"plan0.{method}.stability_median"] = float(str(row["stability_median"]))
    return metrics
