"""Every patient with both classes has a result in every configuration, or a stated reason.

A median over patients can be raised by losing the difficult ones; this gate counts them from the cells themselves.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from stagewright.gates.catalogue import threshold
from stagewright.gates.cohort_columns import cohort_columns
from stagewright.gates.cohort_obs import ClassCounts, class_counts, labelled_cells, obs_in_scope
from stagewright.gates.finding import bounded
from stagewright.gates.left_out import left_out
from stagewright.gates.model_names import model_names
from stagewright.gates.owed_units import grid
from stagewright.gates.places import patient_table
from stagewright.gates.protocol import Finding, GateContext
from stagewright.gates.result_rows import PatientRows, ResultRows, alpha_keys, read_result_rows
from stagewright.state.canonical import data_bytes
from stagewright.state.records import Verdict
from stagewright.state.step_request import StepRequest

__all__ = ["patient_coverage"]

_finding = partial(Finding, gate="patient_coverage")
COUNTED = 100
WHY = "A study's median over patients is honest only if no patient is lost on the way without a word."
AGAIN = "To pass: adjust, so that the step is executed again; if it comes back, the stage itself is wrong."


def patient_coverage(context: GateContext) -> Iterator[Finding]:
    """Compare the patients that have results with those that the cells say there are.

    Counted are, from obs of each `adata_with_dr.h5ad`, the cells of each class for each patient. Each patient with
    both classes needs, in each configuration (preprocess, method), one row for each penalty and alpha with the counts
    of classes that obs has, or an entry with a reason among the outcome's skipped. A result for a patient without
    both classes fails; a patient with one class that nobody mentions is a warning. The patients with both classes in
    the data file itself, after the spec's time points and filters, have to be in each `adata_with_dr.h5ad`. Told are
    the cells of each class by patient and time point.

    Notes
    -----
    Completeness has no tolerance. The share of patients that have a result, and not merely a reason, is compared with
    a bound of 0.5: when most are left out, the median speaks for the minority. Below it is a warning by default and a
    failure when the spec sets the bound; no result at all is always a failure.
    """
    source = _source_counts(context)
    if isinstance(source, Finding):
        yield source
    yield from _counted(context)
    counts: dict[str, dict[str, ClassCounts]] = {}
    for tag in (entry.tag for entry in context.request.study.preprocess):
        cells = labelled_cells(context, tag)
        if cells is not None:
            counts[tag] = class_counts(cells)
            if not isinstance(source, Finding):
                yield from _against_source(tag, source, counts[tag])
    for tag, method in grid(context.request, left_out(context)):
        rows = read_result_rows(context.run / patient_table(context.request, tag, method))
        if tag in counts and rows is not None:
            for mode, models in _modes(context.request):
                yield from _configuration(context, f"{tag}/{method}{mode}", counts[tag], _of(rows, models), models)


def _counted(context: GateContext) -> Iterator[Finding]:
    """Tell the cells of each class of each patient and time point, from obs of the first preprocess."""
    timepoint = context.request.scope.timepoint
    found = cohort_columns(context, () if timepoint is None else (timepoint.column,))
    if found is None:
        return
    cells, columns = found
    group = cells["patient"].astype(str)
    if timepoint is not None and timepoint.column in columns:
        group = group + " " + columns[timepoint.column].astype(str)
    counts = cells["positive"].groupby(group.to_numpy(dtype=object)).agg(["sum", "size"])
    shown = [
        f"{name}: {positive} + {size - positive}"
        for name, positive, size in zip(counts.index[:COUNTED], counts["sum"], counts["size"], strict=False)
    ]
    more = f"; and {len(counts) - COUNTED} more" if len(counts) > COUNTED else ""
    of = "patient" if timepoint is None else "patient and time point"
    yield _record(
        f"positive + negative cells of each {of}",
        "pass",
        f"{'; '.join(shown)}{more}",
        "told, whatever they are",
        "A score of few cells of a class is a noisy one.",
    )


def _modes(request: StepRequest) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the parts of a configuration whose patients may differ, each with its models: the modes of Plan 1c."""
    names = model_names(request)
    if request.stage != "plan1c":
        yield "", names
        return
    for mode in request.study.modes:
        yield f"/{mode}", tuple(name for name in names if name.startswith(f"{mode}."))


def _of(rows: ResultRows, models: tuple[str, ...]) -> ResultRows:
    """Return the rows of some models."""
    found = ResultRows(ks=rows.ks)
    for patient, mine in rows.rows.items():
        cells = [(model, alpha) for model, alpha in mine.cells if model in models]
        if cells:
            found.rows[patient] = PatientRows(cells, mine.counts)
    return found


def _source_counts(context: GateContext) -> dict[str, ClassCounts] | Finding:
    path = Path(context.request.data.path)
    whole = f"{context.request.data.bytes} bytes, as sealed"
    if not (path.is_file() or path.is_dir()):
        reason = f"{WHY} Without the data file, patients are counted in adata_with_dr.h5ad only. To pass: put it back."
        return _record(str(path), "warn", "no such file", whole, reason)
    found = data_bytes(path)
    if found != context.request.data.bytes:
        reason = "The data were sealed with the run. To pass: restore the file, or plan a new run on the changed one."
        return _record(str(path), "fail", f"{found} bytes", whole, reason)
    return class_counts(obs_in_scope(path, context.request.scope, context.request.pseudonyms))


def _against_source(
    tag: str, source: Mapping[str, ClassCounts], counts: Mapping[str, ClassCounts]
) -> Iterator[Finding]:
    none = ClassCounts(0, 0)
    lost = [patient for patient, found in source.items() if found.both and not counts.get(patient, none).both]
    strangers = [patient for patient in counts if patient not in source]
    for patients, measured, wanted in (
        (lost, "both classes in the data, not in adata_with_dr.h5ad", "both classes in both"),
        (strangers, "in adata_with_dr.h5ad, not in the data's scope", "only patients of the scope"),
    ):
        yield from bounded(_fail(f"{tag}: patient {patient}", measured, wanted) for patient in patients)


def _configuration(
    context: GateContext, name: str, counts: Mapping[str, ClassCounts], rows: ResultRows, models: tuple[str, ...]
) -> Iterator[Finding]:
    tag, method = name.split("/")[:2]
    reasons: dict[str, str] = {}
    for item in context.outcome.skipped:
        if item.where in ("", tag, f"{tag}/{method}", name):
            reasons[item.patient] = item.reason.strip() or reasons.get(item.patient, "")
    faults: list[Finding] = []
    for patient, found in counts.items():
        faults += _patient(
            context, f"{name}: patient {patient}", found, rows.rows.get(patient), reasons.get(patient), models
        )
    faults += [
        _fail(f"{name}: patient {patient}", "a result, but no cells", "patients of adata_with_dr.h5ad")
        for patient in (*rows.rows, *reasons)
        if patient not in counts
    ]
    faults += _k(context, name, rows)
    yield from bounded(fault for fault in faults if fault.severity == "fail")
    yield from bounded(fault for fault in faults if fault.severity == "warn")
    yield from _share(context, name, counts, rows, reasons, clean=not faults)


def _patient(
    context: GateContext,
    subject: str,
    found: ClassCounts,
    result: PatientRows | None,
    reason: str | None,
    models: tuple[str, ...],
) -> Iterator[Finding]:
    has = f"{found.positive} positive and {found.negative} negative cells"
    if result is not None and not found.both:
        yield _fail(subject, f"a result from {has}", "results only from both classes")
    elif result is not None and reason is not None:
        yield _fail(subject, f"a result, and skipped ({reason or 'no reason'})", "one of the two")
    elif result is not None:
        wanted = {(model, alpha) for model in models for alpha in alpha_keys(context.request.study.alphas)}
        if sorted(result.cells) != sorted(wanted):
            measured = f"{len(result.cells)} rows, {len(wanted - set(result.cells))} missing"
            yield _fail(subject, measured, f"one row for each of {len(wanted)} models and alphas")
        if result.counts != {(found.positive, found.negative)}:
            shown = "; ".join(
                f"{positive:g} positive and {negative:g} negative" for positive, negative in result.counts
            )
            yield _fail(subject, f"{shown} in the table", f"{has}, as in obs")
    elif reason is None and found.both:
        yield _fail(subject, f"no result and no reason; {has}", "a result or a stated reason")
    elif reason is None:
        yield _record(
            subject,
            "warn",
            f"one class ({has}), not mentioned",
            "a stated reason",
            f"{WHY} To pass: the stage has to list the patient among the skipped.",
        )
    elif not reason:
        yield _fail(subject, f"skipped without a reason; {has}", "a stated reason")


def _k(context: GateContext, name: str, rows: ResultRows) -> Iterator[Finding]:
    k = context.request.k_by_method.get(name.split("/")[1])
    if rows.rows and rows.ks != {k}:
        shown = ", ".join(f"{value:g}" for value in sorted(rows.ks))
        yield _fail(name, f"K {shown} in the table", f"K {k}, as asked for")


def _share(
    context: GateContext,
    name: str,
    counts: Mapping[str, ClassCounts],
    rows: ResultRows,
    reasons: Mapping[str, str],
    *,
    clean: bool,
) -> Iterator[Finding]:
    least = threshold(context, "patient_coverage", "at_least")
    both = [patient for patient, found in counts.items() if found.both]
    done = [patient for patient in both if patient in rows.rows]
    share = len(done) / len(both) if both else 0.0
    measured = f"{len(done)} of {len(both)} patients with both classes have a result"
    stated = [f"{patient} ({reason})" for patient, reason in reasons.items() if reason]
    if stated:
        measured += f"; skipped: {', '.join(stated[:5])}{f' and {len(stated) - 5} more' if len(stated) > 5 else ''}"  # noqa: PLR2004 - as many as a line holds
    wanted = f"each has a result or a reason; at least {least:g} of them a result"
    if not done:
        yield _record(name, "fail", measured, wanted, f"Nothing was learnt from this configuration. {AGAIN}")
    elif share < least:
        told = "at_least" in context.request.gates.get("patient_coverage", {})
        remedy = "To pass: more cells of each patient, or fewer folds, so that fewer patients are left out."
        yield _record(name, "fail" if told else "warn", measured, wanted, f"{WHY} {remedy}")
    elif clean:
        yield _record(name, "pass", measured, wanted, WHY)


def _fail(subject: str, measured: str, wanted: str) -> Finding:
    return _record(subject, "fail", measured, wanted, f"{WHY} {AGAIN}")


def _record(subject: str, severity: Verdict, measured: str, wanted: str, reason: str) -> Finding:
    return _finding(subject=subject, severity=severity, measured=measured, threshold=wanted, reason=reason)
