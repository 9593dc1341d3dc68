"""Compare Plan 0's replicates of each method and K, write the comparisons, and choose K for each method."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import JsonValue

from stagewright.stages.files import save_array, save_csv
from stagewright.stages.held_out_unit import Prediction
from stagewright.stages.protocol import StageContext
from stagewright.stages.reduction.catalogue import method_entry
from stagewright.stages.reduction.reduction import Reduction
from stagewright.stages.stability.chance import chance_level
from stagewright.stages.stability.choose_k import STABILITY_FLOOR, KChoice, KRow, choose_k
from stagewright.stages.stability.consensus import Consensus, consensus_clusters
from stagewright.stages.stability.consensus_loadings import consensus_loadings
from stagewright.stages.stability.loading_figures import effective_rank, orthogonality, sparsity
from stagewright.stages.stability.pairwise import PairwiseStability, pairwise_stability
from stagewright.state.layout import k_curves_file, k_folder
from stagewright.state.spec.reduction import Method

__all__ = ["Replicate", "Sweep", "k_selection", "kept"]

NO_PREDICTION = Prediction(None, None)


@dataclass(frozen=True, slots=True)
class Replicate:
    """What is kept of one replicate once its files are written; `number` is its seed's.

    `curves` are consensus NMF's stability and prediction error.
    """

    number: int
    loadings: NDArray[np.float32]
    explained: float
    objective: float
    converged: bool
    sparsity: float
    orthogonality: float
    effective_rank: float
    curves: tuple[float | None, float] | None = None


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a sweep gave, by method and K, without what failed for good; replicates by number."""

    replicates: Mapping[tuple[str, int], list[Replicate]]
    predictions: Mapping[tuple[str, int], Prediction]


def kept(number: int, reduction: Reduction) -> Replicate:
    """Return what the comparison needs of a fit."""
    return Replicate(
        number=number,
        loadings=reduction.loadings,
        explained=float(str(reduction.extras["explained"])),
        objective=float(str(reduction.extras["objective"])),
        converged=bool(reduction.extras["converged"]),
        sparsity=sparsity(reduction.loadings),
        orthogonality=orthogonality(reduction.loadings),
        effective_rank=effective_rank(reduction.scores),
        curves=_curves(reduction),
    )


def _curves(reduction: Reduction) -> tuple[float | None, float] | None:
    if "prediction_error" not in reduction.extras:
        return None
    stability, error = reduction.extras["stability"], reduction.extras["prediction_error"]
    return None if stability is None else float(str(stability)), float(str(error))


def k_selection(context: StageContext, sweep: Sweep) -> tuple[list[dict[str, object]], dict[str, KChoice]]:
    """Return the rows of `k_selection_summary.csv`, and the choice for each method."""
    study = context.request.study
    rows: list[dict[str, object]] = []
    choices: dict[str, KChoice] = {}
    floor = context.request.gates.get("stability_floor", {}).get("at_least", STABILITY_FLOOR)
    for method in study.methods:
        measured = [_measure(context, method, k, sweep) for k in study.ks[method] if (method, k) in sweep.replicates]
        candidates = _comparable([row for row, _ in measured])
        choice = choose_k(candidates, stability_floor=floor)
        choices[method] = choice
        rows += [
            figures
            | {
                "chosen": row.k == choice.k,
                "shortlisted": row.k in choice.shortlist,
                "reason": choice.reasons.get(row.k, "Not in the shortlist: it lacks a figure that other K have."),
            }
            for row, figures in measured
        ]
        _write_curves(context, method, sweep)
    return rows, choices


def _write_curves(context: StageContext, method: Method, sweep: Sweep) -> None:
    """Write the two curves by which the authors of consensus NMF choose K, one row for each fit; of no other method."""
    table = [
        {"k": k, "replicate": one.number, "stability": one.curves[0], "prediction_error": one.curves[1]}
        for (name, k), fits in sorted(sweep.replicates.items())
        for one in fits
        if name == method and one.curves is not None
    ]
    if table:
        save_csv(context.artifacts, k_curves_file(context.request.checkpoint, method), pd.DataFrame(table))


def _comparable(rows: list[KRow]) -> list[KRow]:
    """Return the K among which one is chosen: not those that lack a stability, or held-out errors, if others have."""
    stable = [row for row in rows if row.median_stability is not None] or rows
    return [row for row in stable if row.held_out is not None] or stable


def _measure(context: StageContext, method: Method, k: int, sweep: Sweep) -> tuple[KRow, dict[str, object]]:
    fits = sweep.replicates[method, k]
    prediction = sweep.predictions.get((method, k), NO_PREDICTION)
    loadings = [item.loadings for item in fits]
    stability = pairwise_stability(loadings)
    consensus = consensus_clusters(loadings, signed=method_entry(method).signed)
    chance = chance_level(loadings)
    study = context.request.study
    kind = "seed-invariant" if study.fitted_once(method) else study.replicates
    _write(context, method, k, fits, stability, consensus, {"replicates": kind, "chance": chance})
    explained = float(np.mean([item.explained for item in fits]))
    objectives = [item.objective for item in fits]
    errors = prediction.errors
    figures: dict[str, object] = {
        "method": method,
        "k": k,
        "n_seeds": len(fits),
        "replicates": kind,
        "stability_mean": stability.mean,
        "stability_median": stability.median,
        "stability_p10": stability.tenth_percentile,
        "stability_chance": chance,
        "stability_fraction_below_0.3": stability.fraction_low,
        "consensus_silhouette": consensus.silhouette if stability.applicable else None,
        "explained": explained,
        "held_out_r2": None if errors is None else errors.r2,
        "held_out_r2_se": None if errors is None else errors.standard_error,
        "held_out_log_likelihood": prediction.log_likelihood,
        "objective": min(objectives),
        "objective_spread": max(objectives) - min(objectives) if len(fits) > 1 else None,
        "sparsity": float(np.mean([item.sparsity for item in fits])),
        "orthogonality": float(np.mean([item.orthogonality for item in fits])),
        "effective_rank": float(np.mean([item.effective_rank for item in fits])),
        "converged": sum(item.converged for item in fits),
    }
    return KRow(k, stability.median, explained, errors, chance), figures


def _write(
    context: StageContext,
    method: Method,
    k: int,
    fits: list[Replicate],
    stability: PairwiseStability,
    consensus: Consensus,
    more: dict[str, JsonValue],
) -> None:
    seeds = [item.number for item in fits]
    folder = k_folder(context.request.checkpoint, method, k)
    summary: dict[str, JsonValue] = {"method": method, "k": k, **more, "n_seeds": len(fits)}
    summary |= {**stability.summary(), "pairs": _pairs(stability, seeds)}
    context.artifacts.write_json(folder / "pairwise_stability_summary.json", summary)
    if not stability.applicable:
        return
    context.artifacts.write_json(
        folder / "consensus_cache" / "consensus.json",
        {
            "silhouette": consensus.silhouette,
            "n_complete": consensus.n_complete,
            "seeds": [*seeds],
            "labels": consensus.labels.tolist(),
        },
    )
    joined = consensus_loadings([item.loadings for item in fits], consensus.labels, signed=method_entry(method).signed)
    save_array(context.artifacts, folder / "consensus_cache" / "consensus_loadings.npy", joined)
    save_csv(context.artifacts, folder / "component_matches.csv", _components(seeds, stability, consensus))


def _components(seeds: list[int], stability: PairwiseStability, consensus: Consensus) -> pd.DataFrame:
    """Return how well each component of each replicate is found again in the other replicates."""
    k = stability.k
    return pd.DataFrame(
        {
            "seed": np.repeat(seeds, k),
            "component": np.tile(np.arange(1, k + 1), len(seeds)),
            "match_median": np.median(stability.by_component, axis=1).ravel(),
            "match_min": stability.by_component.min(axis=1).ravel(),
            "consensus_cluster": consensus.labels.ravel(),
            "silhouette": consensus.silhouettes.ravel(),
        }
    )


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
