"""Each method and K has its summary over the promised replicates, and the replicates on disk agree with it."""

import json
import math
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import combinations

import numpy as np
import pandas as pd

from stagewright.gates.finding import bounded
from stagewright.gates.left_out import left_out
from stagewright.gates.matched_correlation import matched_correlation, read_loadings
from stagewright.gates.owed_units import seeds_left
from stagewright.gates.protocol import Finding, GateContext
from stagewright.gates.tables import numbers, read_csv
from stagewright.state.layout import analysis, k_folder, replicate_folder
from stagewright.state.records import Verdict
from stagewright.state.spec.reduction import Method

__all__ = ["replicate_summary"]

_finding = partial(Finding, gate="replicate_summary")
TOLERANCE = 1e-3
SAMPLED = 45
"""All pairs of ten seeds; of more, as many evenly spread over the list. A pair takes milliseconds."""
NEEDED = ("method", "k", "n_seeds", "replicates", "stability_mean", "stability_median", "chosen")
WHY = "K is chosen from these numbers, so they have to be what the replicates say."
AGAIN = "To pass: adjust, so that the step is executed again; if it comes back, the stage itself is wrong."


def replicate_summary(context: GateContext) -> Iterator[Finding]:
    """Compare Plan 0's summaries with the request and with the replicates on disk.

    Measured are, for each method and K of the request: its one row in `k_selection_summary.csv`; the kind and number
    of replicates, which seeds number, and of pairs in its `pairwise_stability_summary.json`; under a bootstrap, that
    each replicate says of which sample it is; that the two files agree; the matched correlation of up to 45 pairs of
    replicates, computed again from `loadings.npy`, and where that is all pairs their mean and median; and whether two
    replicates have the same loadings. For each method, that exactly one K is chosen, that it is in the request,
    and that the outcome hands on that K.

    Notes
    -----
    Recomputed values may differ by 1e-3: float32 loadings cost 1e-6, and a tie in the matching a little more. Seeds
    that give the same bytes are a warning: then the seed did not reach the fit, and the stability is 1 by
    construction.
    """
    path = context.run / analysis(context.request.checkpoint) / "plan0" / "k_selection_summary.csv"
    table = read_csv(path, NEEDED)
    if table is None:
        return
    failed = left_out(context)
    asked: list[tuple[Method, int]] = [(method, k) for method, ks in context.request.study.ks.items() for k in ks]
    wanted: dict[tuple[Method, int], tuple[int, ...]] = {
        (method, k): seeds for method, k in asked if (seeds := seeds_left(context.request, method, k, failed))
    }
    rows: dict[tuple[str, str], list[pd.Series]] = {}
    for _, row in table.iterrows():
        rows.setdefault((row["method"], row["k"]), []).append(row)
    for (method, k), seeds in wanted.items():
        own = rows.pop((method, str(k)), [])
        if len(own) != 1:
            yield _fail(f"{method}/k_{k}", f"{len(own)} rows in k_selection_summary.csv", "one row")
            continue
        faults = [*_method_and_k(context, method, k, seeds, own[0])]
        yield from bounded(faults)
        if not any(fault.severity == "fail" for fault in faults):
            median = _number(own[0]["stability_median"])
            measured = f"{len(seeds)} seeds, median stability {median:.3f}" if len(seeds) > 1 else "one fit"
            yield _record(f"{method}/k_{k}", "pass", measured, "as requested, and as recomputed", WHY)
    for stranger in rows:
        yield _fail("/k_".join(stranger), "a row in k_selection_summary.csv", "only methods and K of the request")
    yield from _chosen(context, table, [*wanted])


def _method_and_k(
    context: GateContext, method: Method, k: int, seeds: tuple[int, ...], row: "pd.Series"
) -> Iterator[Finding]:
    subject = f"{method}/k_{k}"
    study = context.request.study
    kind = "seed-invariant" if study.fitted_once(method) else study.replicates
    if (row["replicates"], _number(row["n_seeds"])) != (kind, len(seeds)):
        measured = f"{row['replicates']} replicates of {row['n_seeds']} seeds"
        yield _fail(f"{subject} in k_selection_summary.csv", measured, f"{kind} replicates of {len(seeds)} seeds")
    path = context.run / k_folder(context.request.checkpoint, method, k) / "pairwise_stability_summary.json"
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
        pairs = {tuple(sorted(pair["seeds"])): pair for pair in summary["pairs"]}
        n_seeds, whole = summary["n_seeds"], (summary["mean"], summary["median"])
        said = summary["replicates"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if said != kind:
        yield _fail(f"{subject} in pairwise_stability_summary.json", f"{said} replicates", f"{kind} replicates")
    owed = [tuple(sorted(pair)) for pair in combinations(seeds, 2)]
    if n_seeds != len(seeds) or sorted(pairs) != sorted(owed):
        yield _fail(
            subject, f"{n_seeds} seeds, {len(pairs)} pairs", f"{len(seeds)} seeds, all of their {len(owed)} pairs"
        )
        return
    if study.replicates != "seed":
        yield from _samples(context, method, k, seeds)
    if not owed:
        return
    yield from _agree(f"{subject} mean", _number(row["stability_mean"]), whole[0], "k_selection_summary.csv")
    yield from _agree(f"{subject} median", _number(row["stability_median"]), whole[1], "k_selection_summary.csv")
    yield from _recompute(context, method, k, pairs, whole)


def _samples(context: GateContext, method: Method, k: int, seeds: tuple[int, ...]) -> Iterator[Finding]:
    """Check that each replicate was fitted to the bootstrap sample that its folder stands for."""
    for seed in seeds:
        path = context.run / replicate_folder(context.request.checkpoint, method, k, seed) / "extras.json"
        owed = {"kind": context.request.study.replicates, "number": seed}
        try:
            said = json.loads(path.read_text(encoding="utf-8")).get("sample")
        except (OSError, ValueError, AttributeError):
            continue  # `promised_files` reports it
        if said != owed:
            yield _fail(f"{method}/k_{k} replicate {seed}", f"fitted to {said or 'all cells'}", f"fitted to {owed}")


def _recompute(
    context: GateContext,
    method: Method,
    k: int,
    pairs: Mapping[tuple[int, ...], Mapping[str, float]],
    whole: tuple[float, float],
) -> Iterator[Finding]:
    ordered, pooled = sorted(pairs), []
    for pair in ordered[:: math.ceil(len(ordered) / SAMPLED)]:
        folders = [context.run / replicate_folder(context.request.checkpoint, method, k, seed) for seed in pair]
        first, second = (read_loadings(folder) for folder in folders)
        if first is None or second is None or first.shape != second.shape:
            continue
        subject = f"{method}/k_{k} replicates {pair[0]} and {pair[1]}"
        found = matched_correlation(first, second)
        pooled.append(found)
        yield from _agree(f"{subject} mean", pairs[pair]["mean"], float(found.mean()), "the replicates on disk")
        yield from _agree(f"{subject} median", pairs[pair]["median"], float(np.median(found)), "the replicates on disk")
        if np.array_equal(first, second):
            reason = f"What differs did not reach the fit, so its stability is 1 by construction. {AGAIN}"
            yield _record(subject, "warn", "the same loadings to the last bit", "two fits", reason)
    if len(pooled) == len(ordered):
        everything = np.concatenate(pooled)
        subject = f"{method}/k_{k}"
        yield from _agree(f"{subject} mean", whole[0], float(everything.mean()), "the replicates on disk")
        yield from _agree(f"{subject} median", whole[1], float(np.median(everything)), "the replicates on disk")


def _chosen(context: GateContext, table: pd.DataFrame, owed: list[tuple[Method, int]]) -> Iterator[Finding]:
    picked = table[table["chosen"].str.lower().isin(["true", "1"])]
    for method in context.request.study.ks:
        ks = [k for name, k in owed if name == method]
        found = [int(value) for value in numbers(picked.loc[picked["method"] == method, "k"]) if np.isfinite(value)]
        handed_on = context.outcome.k_by_method.get(method)
        if len(found) != 1 or found[0] not in ks:
            shown = ", ".join(map(str, found)) or "none"
            yield _fail(f"{method}: chosen K", shown, f"one of {', '.join(map(str, ks))}")
        elif handed_on != found[0]:
            yield _fail(
                f"{method}: chosen K", f"{handed_on} in the outcome", f"{found[0]}, as in k_selection_summary.csv"
            )
        if strangers := [k for k in context.outcome.k_shortlist.get(method, ()) if k not in ks]:
            yield _fail(f"{method}: shortlist", ", ".join(map(str, strangers)), f"among {', '.join(map(str, ks))}")


def _agree(subject: str, said: float, found: float, where: str) -> Iterator[Finding]:
    if not abs(said - found) <= TOLERANCE:
        yield _fail(subject, f"{said:.4f}", f"{found:.4f} from {where}, within {TOLERANCE:g}")


def _number(text: str) -> float:
    return float(numbers(pd.Series([text]))[0])


def _fail(subject: str, measured: str, threshold: str) -> Finding:
    return _record(subject, "fail", measured, threshold, f"{WHY} {AGAIN}")


def _record(subject: str, severity: Verdict, measured: str, threshold: str, reason: str) -> Finding:
    return _finding(subject=subject, severity=severity, measured=measured, threshold=threshold, reason=reason)
