"""The best score of the whole search is more than the same search finds under permuted labels."""

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stagewright.gates.catalogue import threshold
from stagewright.gates.cohort_obs import strata_of_cells
from stagewright.gates.finding import bounded
from stagewright.gates.left_out import left_out
from stagewright.gates.oof import read_oof
from stagewright.gates.owed_units import search_grid
from stagewright.gates.places import oof_table, search_aucs, search_configurations, search_labellings
from stagewright.gates.protocol import Finding, GateContext
from stagewright.gates.result_rows import alpha_keys
from stagewright.gates.tables import numbers, read_csv
from stagewright.state.step_units import has_search

__all__ = ["CENTRE", "search_permutation"]

_finding = partial(Finding, gate="search_permutation")
TOLERANCE = 1e-6
CENTRE = 0.02
"""How far from 0.5 the mean over permutations may lie, beyond five standard errors. Out of fold it lies a little below:
a cell that is left out takes its own class's mean in the training cells away from itself."""
ERRORS, SPREAD = 5.0, 2**0.5
"""Out-of-fold scores lie wider than those drawn without regard to the labels: see `null_twin`."""
QUANTILE = 0.95
P_METRIC, AUC_METRIC = "plan1b.best.search_p", "plan1b.search.auc"
WHY = (
    "The best of many configurations scores well by the search alone; only what the same search does not reach under "
    "permuted labels speaks for the biology."
)
AGAIN = "To pass: adjust, so that the step is executed again; if it comes back, the stage itself is wrong."
REMEDY = (
    "To pass: more patients or cells, or a new question with fewer configurations to choose from. The count of what "
    "was tried stays, in a new run too."
)
MORE = (
    "p is the smallest that so many permutations can show. To pass: a new run with a larger "
    "negative_controls.search_permutations; the count of what was tried stays."
)
Scores = NDArray[np.float64]
Configuration = tuple[str, str, str]


def search_permutation(context: GateContext) -> Iterator[Finding]:
    """Compare the best score of Plan 1b's grid with the best scores of the same grid under permuted labels.

    Each configuration was scored under the observed labels and under permutations of them within strata, by one step of
    its path and in folds that no label drew. The best score over configurations and alphas is one function of the
    labelling, so under labels without a tie to expression its rank among all labellings is uniform: p is the share of
    labellings, the observed one included, whose best score is at least the observed one's (Westfall and Young 1993).
    Where more configurations were tried than are searched, those that were adjusted away and those of other runs on the
    same data and label, p becomes 1 - (1 - p)^(tried / searched), after Sidak (1967). Above the bound is a failure.

    Recomputed from the tables of the patients are the best score of each labelling, p, and both metrics (within 1e-6);
    each table has every patient that can be permuted, every alpha and every labelling that was asked for. Scores under
    permutations that do not lie about 0.5 are a failure too: they are no permutations.

    Notes
    -----
    The classifier is not Plan 1b's own, which would take a hundred times as long, but the first step towards it; both
    are reported. `tests/stages/search_permutation/test_search_simulated.py` shows the level on null cohorts and the
    power with a planted effect.
    """
    request, checkpoint = context.request, context.request.checkpoint
    record = partial(_finding, subject=request.step)
    if not has_search(request.stage, request.study):
        yield record(
            severity="pass", measured="not asked for at this checkpoint", threshold="as the spec says", reason=WHY
        )
        return
    faults: list[Finding] = []
    scores: dict[Configuration, Scores] = {}
    for tag, method in search_grid(request, left_out(context)):
        path, cells = context.run / search_aucs(checkpoint, tag, method), strata_of_cells(context, tag)
        predicted = read_oof(context.run / oof_table(request, tag, method))
        if cells is None or predicted is None or not path.is_file():
            continue  # `promised_files` reports it
        scored = set(predicted["patient"].astype(str))
        patients = {name: sd for name, sd in _permutable(cells).items() if name in scored}
        table = pd.read_parquet(path)
        for penalty in request.study.penalties:
            name = f"{tag}/{method}/{penalty}"
            rows = table[table["penalty"] == penalty]
            if wrong := [*_rows(context, name, rows, patients)]:
                faults += wrong
            elif patients:
                aucs = _by_patient(rows, context.request.study.alphas)
                faults += _centres(name, aucs, patients)
                scores[tag, method, penalty] = np.median(aucs, axis=2)
    if not scores and not faults:
        measured = "no stratum of a scored patient has cells of both classes"
        wanted = "a label that varies within strata"
        reason = f"{WHY} To pass: a new run with coarser negative_controls.strata; or know that nothing was tested."
        yield record(severity="warn", measured=measured, threshold=wanted, reason=reason)
        return
    if scores:
        faults += _agreement(context, scores)
    yield from bounded(faults)
    if scores and not faults:
        yield _judged(context, scores)
    yield from _not_searched(context)


def _judged(context: GateContext, scores: Mapping[Configuration, Scores]) -> Finding:
    """Compare the observed best with the permuted ones."""
    allowed = threshold(context, "search_permutation", "at_most")
    best, names = _best(scores)
    winner = "/".join(names[0])
    n, p = best.size - 1, float((best >= best[0]).mean())
    searched = len({name[:2] for name in scores})
    factor = max(1.0, context.asked.tried / searched)
    adjusted = 1.0 - (1.0 - p) ** factor
    upper = float(np.quantile(best[1:], QUANTILE))
    also = "" if factor == 1.0 else f", {adjusted:.3g} for the {context.asked.tried} that were tried in all"
    measured = (
        f"p {p:.3g}{also}: best AUC within strata {best[0]:.4f} ({winner}) of {len(scores)} configurations; under {n} "
        f"permutations the best is below {upper:.4f} in {QUANTILE:.0%}"
    )
    found = partial(_finding, subject=context.request.step, measured=measured, threshold=f"p at most {allowed:g}")
    if adjusted <= allowed + TOLERANCE:
        return found(severity="pass", reason=WHY)
    if p * (n + 1) < 1.0 + TOLERANCE:  # nothing permuted comes near: only the number of permutations holds p up
        return found(severity="fail", reason=f"{WHY} {MORE}")
    return found(severity="fail", reason=f"{WHY} {REMEDY}")


def _not_searched(context: GateContext) -> Iterator[Finding]:
    """Warn of configurations that may be the best and were not searched."""
    study = context.request.study
    by_label = [entry.tag for entry in study.preprocess if entry.supervised]
    if study.scope == "pipeline" and by_label:
        yield _finding(
            subject=", ".join(by_label),
            severity="warn",
            measured="not searched: the label selects its genes, in each training fold anew",
            threshold="every configuration that may be the best",
            reason=f"{WHY} Whether the search explains these is not tested; Plan 2 permutes the labels through them.",
        )


def _rows(context: GateContext, name: str, table: pd.DataFrame, patients: Mapping[str, float]) -> Iterator[Finding]:
    """Ask whether a table has each patient, labelling and alpha once."""
    study = context.request.study
    found = set(table["patient"].astype(str))
    if found != set(patients):
        lost = sorted(set(patients) - found)
        measured = f"{len(found)} patients" + (f", without {lost[0]}" if lost else "")
        yield _fail(name, measured, f"the {len(patients)} that were cross-validated and can be permuted")
        return
    n, alphas = 1 + study.search_permutations, alpha_keys(study.alphas)
    rows = pd.MultiIndex.from_arrays(
        [table["patient"].astype(str), table["labelling"], [*alpha_keys(table["alpha"].map(float))]]
    )
    wanted = pd.MultiIndex.from_product([sorted(patients), range(n), alphas])
    if len(rows) != len(wanted) or not rows.sort_values().equals(wanted.sort_values()):
        measured = f"{len(table)} rows of {table['labelling'].nunique()} labellings"
        yield _fail(name, measured, f"one row for each patient, each of {n} labellings and {len(alphas)} alphas")


def _by_patient(table: pd.DataFrame, alphas: Sequence[float]) -> Scores:
    """Return the AUC by labelling, alpha and patient, shape (1 + n, m, n_patients)."""
    place = {key: at for at, key in enumerate(alpha_keys(alphas))}
    at = [place[key] for key in alpha_keys(table["alpha"].map(float))]
    ordered = table.assign(at=at).sort_values(["labelling", "at", "patient"])
    values = ordered["auc_within_strata"].to_numpy(np.float64)
    return values.reshape(table["labelling"].nunique(), len(place), -1)


def _centres(name: str, aucs: Scores, patients: Mapping[str, float]) -> Iterator[Finding]:
    """Ask whether the permuted scores of each patient lie about 0.5."""
    n = aucs.shape[0] - 1
    for patient, own in zip(sorted(patients), np.moveaxis(aucs, 2, 0), strict=True):
        centre = own[1:].mean(axis=0)
        worst = float(centre[np.abs(centre - 0.5).argmax()])
        if not abs(worst - 0.5) <= CENTRE + ERRORS * SPREAD * patients[patient] / math.sqrt(n):
            measured = f"mean AUC {worst:.3f} over {n} permutations"
            yield _fail(f"{name}: patient {patient}", measured, "about 0.5, as permuted labels score")


def _agreement(context: GateContext, scores: Mapping[Configuration, Scores]) -> Iterator[Finding]:
    """Compare the tables of the search and its metrics with what the patients' scores give."""
    checkpoint = context.request.checkpoint
    best, _ = _best(scores)
    p = float((best >= best[0]).mean())
    table = read_csv(context.run / search_labellings(checkpoint), ("labelling", "auc_within_strata"))
    if table is not None:
        said = numbers(table["auc_within_strata"])
        if said.shape != best.shape or not np.allclose(said, best, rtol=0, atol=TOLERANCE):
            off = int((np.abs(said - best) > TOLERANCE).sum()) if said.shape == best.shape else len(said)
            yield _fail("labellings.csv", f"{off} of {len(said)} best scores differ", "those of the patients' scores")
    rows = read_csv(
        context.run / search_configurations(checkpoint), ("preprocess", "method", "penalty", "p_search", "p_alone")
    )
    if rows is not None:
        named = [tuple(row) for row in rows[["preprocess", "method", "penalty"]].to_numpy(str)]
        if named != [*scores]:
            yield _fail("configurations.csv", f"{len(named)} configurations", f"the {len(scores)} that were searched")
        else:
            own = [one.max(axis=1) for one in scores.values()]
            wanted = np.array([[(np.append(best[1:], one[0]) >= one[0]).mean(), (one >= one[0]).mean()] for one in own])
            found = np.column_stack([numbers(rows["p_search"]), numbers(rows["p_alone"])])
            for at in np.flatnonzero(~(np.abs(found - wanted) <= TOLERANCE).all(axis=1)):
                yield _fail("/".join(named[at]), f"p {found[at][0]:.6f}", f"{wanted[at][0]:.6f} from the scores")
    for metric, value in ((P_METRIC, p), (AUC_METRIC, float(best[0]))):
        stated = context.outcome.metrics.get(metric)
        if stated is None or not abs(stated - value) <= TOLERANCE:
            shown = "no such metric" if stated is None else f"{stated:.6f}"
            yield _fail(metric, shown, f"{value:.6f} from the patients' scores")


def _best(scores: Mapping[Configuration, Scores]) -> tuple[Scores, list[Configuration]]:
    """Return the best score by labelling, and the configuration that has it."""
    at_best = np.stack([one.max(axis=1) for one in scores.values()])
    names = [*scores]
    return at_best.max(axis=0), [names[one] for one in at_best.argmax(axis=0)]


def _permutable(cells: pd.DataFrame) -> dict[str, float]:
    """Return the patients with a stratum of both classes, each with the standard deviation of its AUC by chance."""
    found: dict[str, float] = {}
    for patient, rows in cells.groupby("patient", sort=True):
        counts = rows.groupby("stratum")["positive"].agg(["sum", "size"]).to_numpy(float)
        positive, size = counts[:, 0], counts[:, 1]
        pairs = positive * (size - positive)
        if pairs.sum() > 0:
            found[str(patient)] = float(np.sqrt((pairs * (size + 1) / 12).sum()) / pairs.sum())
    return found


def _fail(subject: str, measured: str, wanted: str) -> Finding:
    return _finding(subject=subject, severity="fail", measured=measured, threshold=wanted, reason=f"{WHY} {AGAIN}")
