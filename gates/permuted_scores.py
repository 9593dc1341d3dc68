"""Permuted labels are permuted within their strata, and score no better than chance there."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from stagewright.gates.catalogue import threshold
from stagewright.gates.chance import upper_end
from stagewright.gates.cohort_obs import strata_of_cells
from stagewright.gates.finding import bounded
from stagewright.gates.left_out import left_out
from stagewright.gates.model_names import with_model_names
from stagewright.gates.oof import read_oof
from stagewright.gates.owed_units import permuted_grid
from stagewright.gates.permuted_labels import AGAIN, LEAK, REMEDY, WHY, label_faults
from stagewright.gates.places import controls_summary, permuted_oof, permuted_summary
from stagewright.gates.protocol import Finding, GateContext
from stagewright.gates.tables import numbers, read_csv
from stagewright.gates.within_strata import WithinStrata, within_strata

__all__ = ["permuted_scores"]

TOLERANCE = 1e-6
LEVEL = 0.01
FEWEST_PERMUTATIONS = 3
"""With fewer, a mean over them is nearly the maximum over the penalty strengths of one: no leak is told from it."""
SCORE = {"plan1a": "auc_in_sample_median", "plan1b": "auc_median", "plan1c": "auc_median"}
KEY = ["preprocess", "method", "penalty"]

_Configuration = tuple[str, str, str, str]


def permuted_scores(context: GateContext) -> Iterator[Finding]:
    """Look at Plan 2's labels and recompute its scores.

    Measured are, of each permutation, the permuted labels in the out-of-fold predictions: each stratum has the class
    counts that obs has, and not every label is where it was (failures); each configuration's mean score over the
    permutations from the summaries of the permutations, against `negative_controls_summary.csv` (within 1e-6); and of
    Plan 1b's cells the median over patients of the AUC over pairs of cells of one stratum, mean over repeats and
    permutations, against the upper end of the interval in which it lies by chance. Above it by more than the bound is a
    failure; a warning where the genes were selected with the labels of all cells, which is known to leak and is never
    counted among the best, and with fewer than three permutations.

    Notes
    -----
    Within a stratum an AUC has by chance the variance (n + 1) / (12 n_positive n_negative); a patient's is the mean of
    those, weighted by pairs; the median of P patients has the standard deviation sqrt(pi P / 2) / sum(1 / s_i), more
    where few patients differ much in size (`chance.upper_end`). The interval holds 99 % over all configurations
    together. It is that of one permutation, although a mean over them is compared: the choice of the penalty strength
    lifts every permuted score a little, which no number of permutations averages away.
    """
    faults: list[Finding] = []
    within: dict[_Configuration, list[WithinStrata]] = {}
    strata = {entry.tag: strata_of_cells(context, entry.tag) for entry in context.request.study.preprocess}
    for number, stage, tag, method in permuted_grid(context.request, left_out(context)):
        cells = strata[tag]
        table = read_oof(context.run / permuted_oof(context.request.checkpoint, number, stage, tag, method))
        if stage == "plan1a" or table is None or cells is None:
            continue
        faults += label_faults("permuted_scores", f"permutation_{number}/{stage}/{tag}/{method}", table, cells)
        for penalty, rows in table.groupby("penalty", observed=True, sort=True):
            within.setdefault((stage, tag, method, str(penalty)), []).append(within_strata(rows, cells))
    faults += _summaries(context)
    yield from bounded(faults)
    if not faults:
        measured = f"{context.request.study.permutations} permutations with the class counts of every stratum"
        yield _record(context.request.step, "pass", measured, "labels permuted within strata, scores as reported", WHY)
    yield from _leaks(context, within)


def _summaries(context: GateContext) -> Iterator[Finding]:
    """Compare the mean of each configuration with the summaries of the permutations."""
    request = context.request
    reported = read_csv(context.run / controls_summary(request.checkpoint), ("stage", *KEY, "permuted_mean"))
    if reported is None:
        return
    for stage in request.study.mirrored:
        tables = [
            read_csv(context.run / permuted_summary(request.checkpoint, number, stage), (*KEY, SCORE[stage]))
            for number in range(1, request.study.permutations + 1)
        ]
        whole = [with_model_names(table).astype({"penalty": str}) for table in tables if table is not None]
        known = pd.concat(whole or [pd.DataFrame(columns=[*KEY, SCORE[stage]])])
        if known.empty:
            continue
        mean = known.assign(score=numbers(known[SCORE[stage]])).groupby(KEY)["score"].mean()
        mine = reported[(reported["stage"] == stage).to_numpy()]
        for *key, said in zip(*(mine[name] for name in KEY), numbers(mine["permuted_mean"]), strict=True):
            recomputed = float(mean.get(tuple(key), np.nan))
            if not abs(recomputed - said) <= TOLERANCE:
                subject = f"{stage}/{'/'.join(key)} permuted_mean"
                yield _fail(subject, f"{said:.6f} reported", f"{recomputed:.6f}, from the permutations")


def _leaks(context: GateContext, within: Mapping[_Configuration, Sequence[WithinStrata]]) -> Iterator[Finding]:
    allowed = threshold(context, "permuted_scores", "at_most")
    supervised = {entry.tag: entry.supervised for entry in context.request.study.preprocess}
    pipeline = context.request.study.scope == "pipeline"
    found: list[Finding] = []
    for key, permutations in within.items():
        scored = [one for one in permutations if one.auc]
        if not scored:
            continue
        mean = float(np.mean([np.median([*one.auc.values()]) for one in scored]))
        high = upper_end([*scored[0].sd.values()], sum(other[0] == key[0] for other in within), LEVEL)
        measured = f"AUC within strata {mean:.3f} under {len(scored)} permutations"
        wanted = f"at most {high:.3f}, the upper end of chance" + (f", and {allowed:g} more" if allowed else "")
        if mean <= high + allowed:
            found.append(_record("/".join(key), "pass", measured, wanted, LEAK))
        else:
            known = supervised[key[1]] and not (key[0] == "plan1b" and pipeline)
            severity = "warn" if known or len(scored) < FEWEST_PERMUTATIONS else "fail"
            found.append(_record("/".join(key), severity, measured, wanted, f"{LEAK} {REMEDY}"))
    yield from bounded(finding for finding in found if finding.severity != "pass")
    yield from bounded(finding for finding in found if finding.severity == "pass")


def _fail(subject: str, measured: str, wanted: str) -> Finding:
    return _record(subject, "fail", measured, wanted, f"{WHY} {AGAIN}")


def _record(subject: str, severity: str, measured: str, wanted: str, reason: str) -> Finding:
    return Finding.model_validate(
        {
            "gate": "permuted_scores",
            "subject": subject,
            "severity": severity,
            "measured": measured,
            "threshold": wanted,
            "reason": reason,
        }
    )
