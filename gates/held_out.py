"""The held-out figures follow from their sums, over the promised share of each patient's cells."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field

from stagewright.gates.finding import bounded
from stagewright.gates.left_out import left_out
from stagewright.gates.owed_units import seeds_left
from stagewright.gates.places import cell_table
from stagewright.gates.protocol import Finding, GateContext
from stagewright.gates.tables import numbers, read_csv
from stagewright.state.layout import analysis, held_out_file
from stagewright.state.records import Verdict
from stagewright.state.spec.reduction import LINEAR, HeldOut
from stagewright.state.step_units import held_out_unit

__all__ = ["held_out"]

_finding = partial(Finding, gate="held_out")
TOLERANCE = 1e-6
WHY = "K is chosen by these figures, so they have to be of the promised cells, of the same ones for every K, and right."
AGAIN = "To pass: adjust, so that the step is executed again; if it comes back, the stage itself is wrong."
MISSING = (
    "Without the figure this K is judged by its explained share and stability, and not at all where others have the "
    "figure. To pass: adjust to a smaller K if the training cells do not carry this one, or take more cells."
)


class _Group(BaseModel):
    group: str
    n_cells: int
    squared_error: float
    total: Annotated[float, Field(gt=0)]


class _Document(BaseModel):
    """What is read of `held_out.json`."""

    fraction: float
    seed: int
    n_held_out: int
    applicable: bool
    reason: str
    r2: float | None
    r2_standard_error: float | None
    grouped_by: str = ""
    groups: tuple[_Group, ...] = ()


@dataclass(frozen=True, slots=True)
class _Expected:
    """What every document has to say."""

    how: HeldOut
    by_patient: Mapping[str, int]
    """Held-out cells of each patient that has any."""

    @property
    def n_held_out(self) -> int:
        return sum(self.by_patient.values())


def held_out(context: GateContext) -> Iterator[Finding]:
    """Check `held_out.json` of each method and K against the request, `cells.csv` and `k_selection_summary.csv`.

    Measured are: the share and the seed that it names; the number of held-out cells, of each patient where the errors
    are summed by patient; R2 and its standard error, computed again from the sums; that the table says the same; and
    that all documents have the same totals, because only errors on the same cells can be compared.

    Notes
    -----
    Of n cells of a patient, the whole number next to the share times n is held out (halves upwards). Recomputed
    figures may differ by 1e-6. The held-out cells' expression is not read again: what is checked is that the figures
    are consistent. A K without a figure, because the training cells do not carry it, is a warning.
    """
    how, study = context.request.study.held_out, context.request.study
    if how is None:
        yield _record(context.request.step, "pass", "not asked for", "what the request asks for", WHY)
        return
    expected, rows = _expected(context, how), _rows(context)
    if expected is None or rows is None:
        return  # `promised_files` reports it
    failed = left_out(context)
    first: tuple[str, dict[str, float]] | None = None
    for method, k in ((method, k) for method, ks in study.ks.items() for k in ks):
        owed = held_out_unit(method, k) not in failed and seeds_left(context.request, method, k, failed)
        path = context.run / held_out_file(context.request.checkpoint, method, k)
        if not owed or not path.is_file():
            continue
        subject, document = f"{method}/k_{k}", _read(path)
        if document is None:
            yield _fail(subject, "not a record of held-out errors", "R2, and errors and totals of at least one group")
            continue
        if not document.applicable:
            never = method not in LINEAR  # no other K would help
            wanted = "no figure of a method without a linear model" if never else "a held-out R2"
            said = f"no figure: {document.reason}"
            yield _record(subject, "pass" if never else "warn", said, wanted, WHY if never else MISSING)
            continue
        faults = [*_document(subject, document, expected, rows.get((method, str(k))))]
        totals = {group.group: group.total for group in document.groups}
        first = first or (subject, totals)
        if not _same(first[1], totals):
            faults.append(_fail(subject, "other totals of its groups", f"those of {first[0]}: the same cells"))
        yield from bounded(faults)
        if not faults:
            measured = f"R2 {document.r2:.4f} on {document.n_held_out} cells"
            yield _record(subject, "pass", measured, "as requested, and as recomputed", WHY)


def _expected(context: GateContext, how: HeldOut) -> _Expected | None:
    cells = read_csv(context.run / cell_table(context.request.checkpoint), ("patient",))
    if cells is None:
        return None
    counts = {patient: int(how.fraction * size + 0.5) for patient, size in Counter(cells["patient"]).items()}
    return _Expected(how, {patient: count for patient, count in counts.items() if count})


def _rows(context: GateContext) -> dict[tuple[str, str], tuple[float, float]] | None:
    """Return R2 and its standard error in the table, where it has one row for a method and K."""
    path = context.run / analysis(context.request.checkpoint) / "plan0" / "k_selection_summary.csv"
    table = read_csv(path, ("method", "k", "held_out_r2", "held_out_r2_se"))
    if table is None:
        return None
    keys = [*zip(table["method"], table["k"], strict=True)]
    figures = zip(numbers(table["held_out_r2"]), numbers(table["held_out_r2_se"]), strict=True)
    once = {key for key, times in Counter(keys).items() if times == 1}
    return {key: (float(r2), float(se)) for key, (r2, se) in zip(keys, figures, strict=True) if key in once}


def _document(
    subject: str, document: _Document, expected: _Expected, row: tuple[float, float] | None
) -> Iterator[Finding]:
    how = expected.how
    if (document.fraction, document.seed) != (how.fraction, how.seed):
        said = f"share {document.fraction:g}, seed {document.seed}"
        yield _fail(subject, said, f"share {how.fraction:g}, seed {how.seed}")
    by_group = {group.group: group.n_cells for group in document.groups}
    wrong = document.grouped_by == "patient" and by_group != dict(expected.by_patient)
    if wrong or not sum(by_group.values()) == document.n_held_out == expected.n_held_out:
        cells = f"{document.n_held_out} held-out cells in {len(by_group)} groups"
        yield _fail(subject, cells, f"{expected.n_held_out}: {how.fraction:g} of the cells of each patient")
    whole, n_groups = math.fsum(group.total for group in document.groups), len(document.groups)
    r2 = 1 - math.fsum(group.squared_error for group in document.groups) / whole
    squares = math.fsum((group.squared_error - (1 - r2) * group.total) ** 2 for group in document.groups)
    spread = math.sqrt(n_groups / (n_groups - 1) * squares) / whole if n_groups > 1 else None
    yield from _agree(f"{subject} r2", document.r2, r2)
    yield from _agree(f"{subject} standard error", document.r2_standard_error, spread)
    if row is not None:
        yield from _agree(f"{subject} r2 in k_selection_summary.csv", row[0], r2)
        yield from _agree(f"{subject} standard error in k_selection_summary.csv", row[1], spread)


def _agree(subject: str, said: float | None, found: float | None) -> Iterator[Finding]:
    stated = None if said is None or math.isnan(said) else said
    if (stated is None) != (found is None) or (
        stated is not None and found is not None and abs(stated - found) > TOLERANCE
    ):
        shown = ["none" if figure is None else f"{figure:.6f}" for figure in (stated, found)]
        yield _fail(subject, shown[0], f"{shown[1]} from the sums")


def _same(first: Mapping[str, float], second: Mapping[str, float]) -> bool:
    return first.keys() == second.keys() and all(
        math.isclose(first[name], second[name], rel_tol=TOLERANCE) for name in first
    )


def _read(path: Path) -> _Document | None:
    try:
        document = _Document.model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        return None
    return document if document.groups or not document.applicable else None


def _fail(subject: str, measured: str, threshold: str) -> Finding:
    return _record(subject, "fail", measured, threshold, f"{WHY} {AGAIN}")


def _record(subject: str, severity: Verdict, measured: str, threshold: str, reason: str) -> Finding:
    return _finding(subject=subject, severity=severity, measured=measured, threshold=threshold, reason=reason)
