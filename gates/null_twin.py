"""A copy of each configuration under permuted labels scores no better than chance within strata."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from stagewright.gates.catalogue import threshold
from stagewright.gates.chance import upper_end
from stagewright.gates.cohort_obs import strata_of_cells
from stagewright.gates.finding import bounded
from stagewright.gates.left_out import left_out
from stagewright.gates.model_names import MODEL, model_names, with_model_names
from stagewright.gates.oof import read_oof
from stagewright.gates.owed_units import twin_grid
from stagewright.gates.permuted_labels import LEAK, REMEDY, WHY, label_faults
from stagewright.gates.places import twin_oof, twin_summary
from stagewright.gates.protocol import Finding, GateContext
from stagewright.gates.tables import numbers, read_csv
from stagewright.gates.twin_findings import TOLERANCE, fault, record
from stagewright.gates.twin_strengths import strength_faults
from stagewright.gates.within_strata import WithinStrata, within_strata
from stagewright.state.records import Verdict
from stagewright.state.step_units import has_twin, twin_refits

__all__ = ["FAIL_LEVEL", "SPREAD", "WARN_LEVEL", "null_twin"]

WARN_LEVEL, FAIL_LEVEL = 1e-2, 1e-5
"""Two-sided, over all configurations of the step together; what is above the upper end is half of it."""
SPREAD = 2**0.5
"""How much wider than scores drawn without regard to the labels out-of-fold scores lie."""
KEY = ("preprocess", "method", "penalty")
SCORE = "auc_within_strata_median"
COARSER = (
    "To pass: a new run with coarser negative_controls.strata, such as [patient]; or know that nothing was tested."
)
WITHOUT_LABEL = (
    "To pass: a new run with a preprocess that uses no label; cv.scope pipeline fits such a preprocess inside each "
    "training fold in plan1b alone."
)

_Configuration = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class _Scored:
    """The twin of one configuration, from its predictions."""

    within: WithinStrata
    median: float


def null_twin(context: GateContext) -> Iterator[Finding]:
    """Look at the labels of the null twin of Plan 1b or 1c and recompute its scores.

    Measured are the permuted labels in the twin's out-of-fold predictions: each stratum has the class counts that obs
    has, and not every label is where it was (failures); the alphas: in Plan 1b that each patient is predicted at the
    alpha which the other patients choose, by the AUC within strata in `auc_by_alpha.csv`, which follows from the
    predictions (within 1e-6), in Plan 1c that it is the middle one; that the summary (`null_twin_summary.csv`,
    `plan1c_summary.csv`) follows from the predictions; and the median over patients of the AUC over pairs of cells of
    one stratum, against the interval in which it lies by chance. Above the upper end of the 99.999 % interval by more
    than the bound is a failure, or a warning where genes were selected with the labels of all cells, which is known to
    leak; above that of the 99 % interval it is a warning. So is a twin without a score.

    Notes
    -----
    Scores that know nothing of the labels have the variance (n + 1) / (12 n_positive n_negative) of Mann and Whitney.
    Out-of-fold predictions of permuted labels scatter more: cell i is scored by a model that saw the label of cell j,
    and j by one that saw i's, so each product of two labels counts twice, which doubles the variance where predictions
    are linear in the labels of the training cells. The interval is therefore sqrt(2) wider. In Plan 1b each patient's
    alpha is chosen by the other patients, whose labels are permuted on their own, so the choice adds nothing.

    Plan 1c's pooled and grouped models see the labels of several patients, so that patients' scores are not
    independent: products of labels of two patients count in the scores of both. That is the same doubling: the mean
    over patients has twice the variance of independent ones, whether the products are those within patients
    (per_patient), between them (grouped) or both (pooled), and the median has less. So sqrt(2) holds for every mode; a
    strength that other patients choose would not, so it is fixed. By simulation on null cohorts (l1 and l2, 2 to 12
    patients, 1 to 20 axes) at most 5 in 1,000 lie above the end at which it warns
    (`tests/stages/negative_controls/test_null_twin_simulated.py`, `test_benchmark_twin_simulated.py`).
    """
    request = context.request
    if not has_twin(request.stage, request.study):
        yield record(request.step, "pass", "no strata in the request", "a twin where the request names strata", WHY)
        return
    faults: list[Finding] = []
    scored: dict[_Configuration, _Scored] = {}
    absent: list[_Configuration] = []
    for tag, method in twin_grid(request, left_out(context)):
        cells = strata_of_cells(context, tag)
        table = read_oof(context.run / twin_oof(request.checkpoint, request.stage, tag, method))
        if table is None or cells is None:
            continue  # `promised_files` reports it
        faults += label_faults("null_twin", f"{tag}/{method}", table, cells)
        of_model = {str(model): rows for model, rows in table.groupby("penalty", observed=True, sort=True)}
        for model, rows in of_model.items():
            within = within_strata(rows, cells)
            median = float(np.median([*within.auc.values()])) if within.auc else float("nan")
            scored[tag, method, model] = _Scored(within, median)
        absent += [(tag, method, model) for model in model_names(request) if model not in of_model]
        within_of = {model: scored[tag, method, model].within for model in of_model}
        faults += strength_faults(context, tag, method, of_model, within_of)
    faults += _summary(context, scored)
    yield from bounded(faults)
    if scored and not faults:
        measured = f"{len(scored)} twins with the class counts of every stratum"
        wanted = "labels permuted within strata, scores as reported"
        yield record(request.step, "pass", measured, wanted, WHY)
    yield from bounded(_absent(absent, "warn" if request.stage == "plan1c" else "fail"))
    yield from _leaks(context, scored)


def _summary(context: GateContext, scored: Mapping[_Configuration, _Scored]) -> Iterator[Finding]:
    request = context.request
    columns = ("preprocess", "method", *(MODEL if request.stage == "plan1c" else MODEL[-1:]), SCORE)
    table = read_csv(context.run / twin_summary(request), columns)
    if table is None:
        return
    table = with_model_names(table)
    for tag, method, model, said in zip(*(table[name] for name in KEY), numbers(table[SCORE]), strict=True):
        key = (str(tag), str(method), str(model))
        found = scored.get(key)
        median = float("nan") if found is None else found.median
        unknown = np.isnan(said) if found is None else not found.within.auc
        if not (abs(median - said) <= TOLERANCE or unknown):
            wanted = "a twin with predictions" if found is None else f"{median:.6f}, from the predictions"
            yield fault("/".join(key), f"{said:.6f} reported", wanted)


def _absent(absent: Iterable[_Configuration], severity: Verdict) -> Iterator[Finding]:
    """Tell which models have no twin. Plan 1c may have none of a mode: permuted labels may leave nobody to score."""
    for key in absent:
        why = "A model whose labels were never permuted has no control."
        yield record("/".join(key), severity, "no predictions under permuted labels", "a twin of each model", why)


def _leaks(context: GateContext, scored: Mapping[_Configuration, _Scored]) -> Iterator[Finding]:
    allowed = threshold(context, "null_twin", "at_most")
    study, stage = context.request.study, context.request.stage
    by_label = {entry.tag: twin_refits(study, entry, stage) for entry in study.preprocess}
    found: list[Finding] = []
    for key, one in scored.items():
        if not one.within.auc:
            measured = "no stratum of a scored patient has cells of both classes"
            wanted = "a label that varies within strata"
            why = "Where the label is constant in each stratum nothing can be permuted, and no leak would be seen."
            found.append(record("/".join(key), "warn", measured, wanted, f"{why} {COARSER}"))
            continue
        sds = [*one.within.sd.values()]
        worth_a_look, surely = (upper_end(sds, len(scored), level, SPREAD) for level in (WARN_LEVEL, FAIL_LEVEL))
        measured = f"AUC within strata {one.median:.3f} under permuted labels, {len(sds)} patients"
        severity: Verdict = "pass"
        high = worth_a_look
        if one.median > worth_a_look + allowed:
            severity = "warn"
        if one.median > surely + allowed:
            severity = "warn" if by_label[key[0]] else "fail"
            high = surely
        wanted = f"at most {high:.3f}, the upper end of chance" + (f", and {allowed:g} more" if allowed else "")
        reason = LEAK if severity == "pass" else f"{LEAK} {REMEDY if stage == 'plan1b' else WITHOUT_LABEL}"
        found.append(record("/".join(key), severity, measured, wanted, reason))
    for rank in ("fail", "warn", "pass"):
        yield from bounded(finding for finding in found if finding.severity == rank)
