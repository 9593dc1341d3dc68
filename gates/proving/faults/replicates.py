"""Faults of Plan 0's replicates, of their summaries, and of the K that is chosen by them."""

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from stagewright.gates.matched_correlation import matched_correlation
from stagewright.gates.proving.fault_entry import DoesNotApply
from stagewright.gates.proving.faults.axes import replicate_of
from stagewright.gates.proving.spoiled_step import SpoiledStep
from stagewright.state.layout import analysis, k_folder, replicate_folder
from stagewright.state.step_units import seeds_of

__all__ = ["copied", "edited_pair", "edited_table", "fewer_seeds", "no_choice", "other_k", "unstable"]

PAIRS = "pairwise_stability_summary.json"
TABLE = "k_selection_summary.csv"
SEVERAL = 2
MOVED = 0.05


def fewer_seeds(step: SpoiledStep) -> None:
    """Summarise all replicates but the last, as if there had never been more."""
    _, (method, k, last) = replicate_of(step, least_seeds=SEVERAL)

    def forget(summary: dict[str, Any]) -> None:
        summary["n_seeds"] -= 1
        summary["pairs"] = [pair for pair in summary["pairs"] if last not in pair["seeds"]]

    step.json(k_folder(step.request.checkpoint, method, k) / PAIRS, forget)


def edited_pair(step: SpoiledStep) -> None:
    """Move the stability of one pair of replicates by 0.05."""
    _, (method, k, _) = replicate_of(step, least_seeds=SEVERAL)

    def edit(summary: dict[str, Any]) -> None:
        summary["pairs"][0]["median"] = _moved(summary["pairs"][0]["median"])

    step.json(k_folder(step.request.checkpoint, method, k) / PAIRS, edit)


def edited_table(step: SpoiledStep) -> None:
    """Write a stability into the table by which K is chosen that no replicate gives."""
    _, (method, k, _) = replicate_of(step, least_seeds=SEVERAL)

    def edit(table: pd.DataFrame) -> pd.DataFrame:
        row = _row(table, method, k)
        median = _moved(float(table.loc[row, "stability_median"].iloc[0]))
        return table.assign(stability_median=table["stability_median"].mask(row, f"{median:.6f}"))

    step.csv(_table(step), edit)


def copied(step: SpoiledStep) -> None:
    """Copy a replicate's components to the place of another one."""
    _, (method, k, last) = replicate_of(step, least_seeds=SEVERAL)
    first = seeds_of(step.request.study, method)[0]
    source, place = (replicate_folder(step.request.checkpoint, method, k, seed) for seed in (first, last))
    step.own(place / "loadings.npy").write_bytes((step.run / source / "loadings.npy").read_bytes())


def no_choice(step: SpoiledStep) -> None:
    """Choose no K at all."""
    step.csv(_table(step), lambda table: table.assign(chosen="False"))


def other_k(step: SpoiledStep) -> None:
    """Hand another K on to the later steps than the table says was chosen."""
    for method, chosen in step.outcome.k_by_method.items():
        others = [k for name, ks in step.request.study.ks.items() if name == method for k in ks if k != chosen]
        if others:
            step.say(k_by_method=step.outcome.k_by_method | {method: others[0]})
            return
    raise DoesNotApply(f"{step.asked.step} has one K for each method")


def unstable(step: SpoiledStep) -> None:
    """Shuffle the genes of each further replicate at the chosen K, and summarise honestly what is left."""
    study, checkpoint = step.request.study, step.request.checkpoint
    method, k = next(
        (
            (method, k)
            for method, k in step.outcome.k_by_method.items()
            if method in study.ks and len(_seeds(step, method)) >= SEVERAL
        ),
        (None, 0),
    )
    if method is None:
        raise DoesNotApply(f"{step.asked.step} has one replicate for each method")
    rng = np.random.default_rng(0)
    seeds = _seeds(step, method)
    for seed in seeds[1:]:
        step.array(replicate_folder(checkpoint, method, k, seed) / "loadings.npy", rng.shuffle)
    loadings = {
        seed: np.load(step.run / replicate_folder(checkpoint, method, k, seed) / "loadings.npy").astype(np.float64)
        for seed in seeds
    }
    alike = {pair: matched_correlation(*(loadings[seed] for seed in pair)) for pair in combinations(seeds, 2)}
    pooled = np.concatenate([*alike.values()])

    def summarise(summary: dict[str, Any]) -> None:
        for pair in summary["pairs"]:
            found = alike[tuple(sorted(pair["seeds"]))]
            pair |= {"mean": float(found.mean()), "median": float(np.median(found))}
        summary |= {"mean": float(pooled.mean()), "median": float(np.median(pooled))}

    def tell(table: pd.DataFrame) -> pd.DataFrame:
        row = _row(table, method, k)
        mean, median = f"{pooled.mean():.6f}", f"{np.median(pooled):.6f}"
        return table.assign(
            stability_mean=table["stability_mean"].mask(row, mean),
            stability_median=table["stability_median"].mask(row, median),
        )

    step.json(k_folder(checkpoint, method, k) / PAIRS, summarise)
    step.csv(_table(step), tell)


def _moved(stability: float) -> float:
    return stability + (-MOVED if stability > MOVED else MOVED)  # it stays in [0, 1]


def _seeds(step: SpoiledStep, method: str) -> tuple[int, ...]:
    k = step.outcome.k_by_method[method]
    seeds = seeds_of(step.request.study, method)
    return tuple(
        sorted(
            seed
            for seed in seeds
            if step.has(replicate_folder(step.request.checkpoint, method, k, seed) / "loadings.npy")
        )
    )


def _table(step: SpoiledStep) -> str:
    return str(analysis(step.request.checkpoint) / "plan0" / TABLE)


def _row(table: pd.DataFrame, method: str, k: int) -> "pd.Series[bool]":
    found: pd.Series[bool] = (table["method"] == method) & (table["k"] == str(k))
    return found
