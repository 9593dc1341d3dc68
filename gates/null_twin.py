"""A copy of each configuration under permuted labels scores no better than chance within strata."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from stagewright.gates.catalogue import threshold
from stagewright.gates.chance import upper_end
from stagewright.gates.cohort_obs import strata_of_cells
from stagewright.gates.finding import bounded
from stagewright.gates.left_out import left_out
from stagewright.gates.oof import read_oof
from stagewright.gates.owed_units import twin_grid
from stagewright.gates.permuted_labels import AGAIN, LEAK, REMEDY, WHY, label_faults
from stagewright.gates.places import twin_curves, twin_oof
from stagewright.gates.protocol import Finding, GateContext
from stagewright.gates.result_rows import alpha_key, alpha_keys
from stagewright.gates.tables import numbers, read_csv
from stagewright.gates.within_strata import WithinStrata, within_strata
from stagewright.state.layout import null_twin_summary
from stagewright.state.records import Verdict
from stagewright.state.step_units import has_twin

__all__ = ["FAIL_LEVEL", "SPREAD", "WARN_LEVEL", "null_twin"]

TOLERANCE = 1e-6
WARN_LEVEL, FAIL_LEVEL = 1e-2, 1e-5
"""Two-sided, over all configurations of the step together; what is above the upper end is half of it."""
SPREAD = 2**0.5
"""How much wider than scores drawn without regard to the labels out-of-fold scores lie."""
KEY = ["preprocess", "method", "penalty"]
COARSER = (
    "To pass: a new run with coarser negative_controls.strata, such as [patient]; or know that nothing was tested."
)

_Configuration = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class _Scored:
    """The twin of one configuration, from its predictions."""

    within: WithinStrata
    median: float


def null_twin(context: GateContext) -> Iterator[Finding]:
    """Look at the labels of Plan 1b's null twin and recompute its scores.

    Measured are the permuted labels in the twin's out-of-fold predictions: each stratum has the class counts that obs
    has, and not every label is where it was (failures); that each patient is predicted at the alpha which the other
    patients choose, by the AUC within strata in `auc_by_alpha.csv`, and that this table and `null_twin_summary.csv`
    follow from the predictions (within 1e-6); and the median over patients of the AUC over pairs of cells of one
    stratum, against the interval in which it lies by chance. Above the upper end of the 99.999 % interval by more than
    the bound is a failure, or a warning where genes were selected with the labels of all cells, which is known to leak;
    above that of the 99 % interval it is a warning.

    Notes
    -----
    Scores that know nothing of the labels have the variance (n + 1) / (12 n_positive n_negative) of Mann and Whitney.
    Out-of-fold predictions of permuted labels scatter more: cell i is scored by a model that saw the label of cell j,
    and j by one that saw i's, so each product of two labels counts twice, which doubles the variance where predictions
    are linear in the labels of the training cells. The interval is therefore sqrt(2) wider. Each patient's alpha is
    chosen by the other patients, whose labels are permuted on their own, so the choice adds nothing. By simulation on
    null cohorts (l1 and l2, 2 to 12 patients, 3 to 20 axes) at most 5 in 1,000 lie above the end at which it warns
    (`tests/stages/negative_controls/test_null_twin_simulated.py`).
    """
    request = context.request
    if not has_twin(request.stage, request.study):
        yield _record(request.step, "pass", "no strata in the request", "a twin where the request names strata", WHY)
        return
    faults: list[Finding] = []
    scored: dict[_Configuration, _Scored] = {}
    for tag, method in twin_grid(request, left_out(context)):
        cells = strata_of_cells(context, tag)
        table = read_oof(context.run / twin_oof(request.checkpoint, tag, method))
        curves = read_csv(
            context.run / twin_curves(request.checkpoint, tag, method),
            ("patient", "penalty", "alpha", "auc_within_strata"),
        )
        if table is None or cells is None or curves is None:
            continue  # `promised_files` reports it
        faults += label_faults("null_twin", f"{tag}/{method}", table, cells)
        for penalty, rows in table.groupby("penalty", observed=True, sort=True):
            within = within_strata(rows, cells)
            median = float(np.median([*within.auc.values()])) if within.auc else float("nan")
            scored[tag, method, str(penalty)] = _Scored(within, median)
            faults += _choices(f"{tag}/{method}/{penalty}", rows, curves[curves["penalty"] == penalty], within)
    faults += _summary(context, scored)
    yield from bounded(faults)
    if scored and not faults:
        measured = f"{len(scored)} twins with the class counts of every stratum"
        wanted = "labels permuted within strata, scores as reported"
        yield _record(request.step, "pass", measured, wanted, WHY)
    yield from _leaks(context, scored)


def _choices(name: str, table: pd.DataFrame, curves: pd.DataFrame, within: WithinStrata) -> Iterator[Finding]:
    """Compare each patient's alpha with what the other patients choose, and its AUC there with the predictions."""
    alphas = curves["alpha"].map(float).map(alpha_key)
    by_alpha = curves.assign(key=alphas, auc=numbers(curves["auc_within_strata"]))
    wide = by_alpha.pivot_table(index="patient", columns="key", values="auc", aggfunc="first")
    falling = sorted((str(key) for key in wide.columns), key=float, reverse=True)
    wide = wide[falling].dropna()
    said = table.groupby("patient", observed=True)["alpha"].agg(["min", "max"])
    if not said["min"].eq(said["max"]).all():
        yield _fail(name, "predictions of one patient at several alphas", "one alpha for each patient")
        return
    for patient, alpha in zip(said.index.astype(str), alpha_keys(said["min"]), strict=True):
        if patient not in wide.index:
            if patient in within.auc:
                yield _fail(f"{name}: patient {patient}", "no row", "its AUC within strata at every alpha")
            continue
        others = wide.drop(index=patient)
        if len(others):
            median = others.median(axis=0)
            # The strongest stands first, and wins among equals.
            chosen = str(median.index[(median >= median.max() - 1e-12).to_numpy()][0])
            if chosen != alpha:
                wanted = f"alpha {chosen}, which the other patients choose"
                yield _fail(f"{name}: patient {patient}", f"alpha {alpha}", wanted)
        found, reported = within.auc.get(patient, float("nan")), float(wide[alpha].to_dict()[patient])
        if not abs(found - reported) <= TOLERANCE:
            measured = f"AUC {reported:.6f} reported at its alpha"
            yield _fail(f"{name}: patient {patient}", measured, f"{found:.6f} from the predictions")


def _summary(context: GateContext, scored: Mapping[_Configuration, _Scored]) -> Iterator[Finding]:
    column = "auc_within_strata_median"
    table = read_csv(context.run / null_twin_summary(context.request.checkpoint), (*KEY, column))
    if table is None:
        return
    columns = (*(table[name] for name in KEY), numbers(table[column]))
    for tag, method, penalty, said in zip(*columns, strict=True):
        key = (str(tag), str(method), str(penalty))
        found = scored.get(key)
        same = found is not None and (abs(found.median - said) <= TOLERANCE or not found.within.auc)
        if not same:
            wanted = "a twin with predictions" if found is None else f"{found.median:.6f}, from the predictions"
            yield _fail("/".join(key), f"{said:.6f} reported", wanted)


def _leaks(context: GateContext, scored: Mapping[_Configuration, _Scored]) -> Iterator[Finding]:
    allowed = threshold(context, "null_twin", "at_most")
    by_label = {entry.tag: entry.supervised for entry in context.request.study.preprocess}
    found: list[Finding] = []
    for key, one in scored.items():
        if not one.within.auc:
            measured = "no stratum of a scored patient has cells of both classes"
            wanted = "a label that varies within strata"
            why = "Where the label is constant in each stratum nothing can be permuted, and no leak would be seen."
            found.append(_record("/".join(key), "warn", measured, wanted, f"{why} {COARSER}"))
            continue
        sds = [*one.within.sd.values()]
        worth_a_look, surely = (upper_end(sds, len(scored), level, SPREAD) for level in (WARN_LEVEL, FAIL_LEVEL))
        measured = f"AUC within strata {one.median:.3f} under permuted labels, {len(sds)} patients"
        known = by_label[key[0]] and context.request.study.scope != "pipeline"
        severity: Verdict = "pass"
        high = worth_a_look
        if one.median > worth_a_look + allowed:
            severity = "warn"
        if one.median > surely + allowed:
            severity = "warn" if known else "fail"
            high = surely
        wanted = f"at most {high:.3f}, the upper end of chance" + (f", and {allowed:g} more" if allowed else "")
        reason = LEAK if severity == "pass" else f"{LEAK} {REMEDY}"
        found.append(_record("/".join(key), severity, measured, wanted, reason))
    for rank in ("fail", "warn", "pass"):
        yield from bounded(finding for finding in found if finding.severity == rank)


def _fail(subject: str, measured: str, wanted: str) -> Finding:
    return _record(subject, "fail", measured, wanted, f"{WHY} {AGAIN}")


def _record(subject: str, severity: Verdict, measured: str, wanted: str, reason: str) -> Finding:
    return Finding(
        gate="null_twin", subject=subject, severity=severity, measured=measured, threshold=wanted, reason=reason
    )
