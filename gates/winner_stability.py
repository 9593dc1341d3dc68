"""The same configuration wins when one patient is left out, whichever it is."""

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stagewright.gates.catalogue import threshold
from stagewright.gates.left_out import left_out
from stagewright.gates.owed_units import grid
from stagewright.gates.places import patient_table
from stagewright.gates.protocol import Finding, GateContext
from stagewright.gates.tables import numbers, read_csv
from stagewright.state.records import Verdict

__all__ = ["METRIC", "winner_share", "winner_stability", "winners_left_out"]

_finding = partial(Finding, gate="winner_stability")
TOLERANCE = 1e-6
TIE = 1e-12
METRIC = "plan1b.best.winner_stability"
SHOWN = 5
WHY = (
    "The best of several configurations is a winner only if it does not hang on one patient: otherwise what looks like "
    "the better method is the luck of who was sampled."
)
REMEDY = (
    "Read the rivals as equals: no claim that one of them is better, and their scores together. To pass: more "
    "patients, or fewer configurations to choose from."
)
Scores = NDArray[np.float64]
Key = tuple[str, str, str]


def winner_stability(context: GateContext) -> Iterator[Finding]:
    """Choose the best configuration of Plan 1b again without each patient, and count how often it is the same one.

    The scores are the AUCs of each patient in `metrics.csv`; the rule is that of the stage: a configuration's alpha is
    the one with the highest median over the patients, the best configuration the one with the highest median at its
    alpha, and among equals the winner with all patients; those whose genes were chosen by the label stand back.
    Compared with the bound, 0.75 by default, is the share of the patients without whom the winner stays; and with the
    metric `plan1b.best.winner_stability` where the outcome has one.

    Notes
    -----
    Below the bound there is no clear winner, and the rivals are named with their scores: a warning by default, a
    failure when the spec sets the bound. In 400 simulated studies each, with 8 patients and 6 configurations that do
    not differ, 0.55 lie below 0.75; when the best is ahead by one standard deviation of the patients 0.23, and 0.92 of
    the winners above the bound are the right ones; ahead by two, none lies below. So a share below the bound says that
    the winner is not known; one above it does not prove that there is one, because what is left out is one patient.
    """
    least = threshold(context, "winner_stability", "at_least")
    scores = _scores(context)
    if not scores:
        return  # `promised_files` reports it
    told = "at_least" in context.request.gates.get("winner_stability", {})
    record = partial(_record, context.request.step, least)
    n_patients = min((len(table) for table in scores.values()), default=0)
    if len(scores) < 2:  # noqa: PLR2004 - nothing to choose from
        yield record("pass", "one configuration only: nothing was chosen", WHY)
        return
    if n_patients < 2:  # noqa: PLR2004 - nobody to leave out
        measured = f"{len(scores)} configurations of {n_patients} patient: nobody can be left out"
        yield record("warn", f"no clear winner: {measured}", f"{WHY} {REMEDY}")
        return
    arrays = {key: table.to_numpy(np.float64) for key, table in scores.items()}
    medians = {key: _at_own_alpha(array) for key, array in arrays.items()}
    winner = max(medians, key=lambda key: medians[key])
    others = winners_left_out(arrays, winner)
    share = others.count(winner) / len(others)
    said = context.outcome.metrics.get(METRIC)
    if said is not None and not abs(said - share) <= TOLERANCE:
        reason = f"{WHY} To pass: adjust, so that the step is executed again; if it comes back, the stage is wrong."
        yield _finding(
            subject=METRIC,
            severity="fail",
            measured=f"{said:.6f}",
            threshold=f"{share:.6f} from metrics.csv",
            reason=reason,
        )
    name = "/".join(winner)
    wins = others.count(winner)
    measured = f"{name} ({medians[winner]:.4f}) wins in {wins} of {len(others)} studies with one patient less"
    if share >= least:
        yield record("pass", measured, WHY)
        return
    rivals = [key for key, _ in Counter(others).most_common() if key != winner]
    shown = ", ".join(f"{'/'.join(key)} ({medians[key]:.4f})" for key in rivals[:SHOWN])
    more = f" and {len(rivals) - SHOWN} more" if len(rivals) > SHOWN else ""
    severity: Verdict = "fail" if told else "warn"
    yield record(severity, f"no clear winner: {measured}; its rivals {shown}{more}", f"{WHY} {REMEDY}")


def winner_share(context: GateContext) -> float | None:
    """Return the share of the patients without whom the winner stays the same; None where nothing was chosen."""
    arrays = {key: table.to_numpy(np.float64) for key, table in _scores(context).items()}
    if len(arrays) < 2 or min(map(len, arrays.values())) < 2:  # noqa: PLR2004 - two rivals, and somebody to leave out
        return None
    winner = max(arrays, key=lambda key: _at_own_alpha(arrays[key]))
    others = winners_left_out(arrays, winner)
    return others.count(winner) / len(others)


def winners_left_out(scores: Mapping[Key, Scores], winner: Key) -> list[Key]:
    """Return the configuration that wins without each patient in turn; among equals the winner with all of them.

    Parameters
    ----------
    scores
        AUC by configuration in the order of the grid, shape (n_patients, n_alphas), alphas ascending, the same patients
        in each.
    winner
        The configuration that wins with all patients.
    """
    found = []
    for patient in range(scores[winner].shape[0]):
        medians = {key: _at_own_alpha(np.delete(array, patient, axis=0)) for key, array in scores.items()}
        best = max(medians, key=lambda key: medians[key])
        found.append(winner if medians[winner] >= medians[best] - TIE else best)
    return found


def _at_own_alpha(auc: Scores) -> float:
    """Return the median over patients at the alpha with the highest one; the largest alpha, the last, among equals."""
    medians = np.median(auc, axis=0)
    return float(medians[medians >= medians.max() - TIE][-1])


def _scores(context: GateContext) -> dict[Key, pd.DataFrame]:
    """Return each eligible configuration's AUC by patient and alpha, of the patients that all of them have."""
    request = context.request
    by_label = {entry.tag for entry in request.study.preprocess if entry.supervised}
    if request.study.scope == "pipeline":
        by_label = set()  # the label chose genes inside each training fold only
    cells = grid(request, left_out(context))
    eligible = [cell for cell in cells if cell[0] not in by_label] or [*cells]
    found: dict[Key, pd.DataFrame] = {}
    for tag, method in eligible:
        table = read_csv(context.run / patient_table(request, tag, method), ("patient", "penalty", "alpha", "auc_mean"))
        if table is None:
            continue  # `promised_files` reports it
        table = table.assign(alpha=numbers(table["alpha"]), auc=numbers(table["auc_mean"]))
        for penalty in request.study.penalties:
            mine = table[table["penalty"] == penalty]
            wide = mine.pivot_table(index="patient", columns="alpha", values="auc", aggfunc="first").dropna()
            found[tag, method, penalty] = wide
    shared = set.intersection(*(set(table.index) for table in found.values())) if found else set()
    return {key: table.loc[sorted(shared)] for key, table in found.items()}


def _record(subject: str, least: float, severity: Verdict, measured: str, reason: str) -> Finding:
    return _finding(
        subject=subject,
        severity=severity,
        measured=measured,
        threshold=f"the same winner in at least {least:g} of them",
        reason=reason,
    )
