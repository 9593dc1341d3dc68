"""No column that the study names tells the label by itself."""

from collections.abc import Iterator
from functools import partial

from stagewright.gates.association import strength_within
from stagewright.gates.catalogue import threshold
from stagewright.gates.cohort_columns import cohort_columns
from stagewright.gates.protocol import Finding, GateContext
from stagewright.state.step_request import StepRequest
from stagewright.state.technical_columns import technical_columns

__all__ = ["leak_columns"]

_finding = partial(Finding, gate="leak_columns")
WHY = "A column that tells the label within patients is the label in other words: whatever uses it has seen the answer."
CARRIED = (
    "It is no feature here, and must not become one, nor choose cells. To pass: leave it out of data.columns, or say "
    "in the spec that it is meant by a higher bound."
)
DESIGN = (
    "Taking its levels out, or comparing within them, takes the label out with them. To pass: plan a new run that "
    "names another column there."
)


def leak_columns(context: GateContext) -> Iterator[Finding]:
    """Compare how much each named column tells of the label within patients with the bound, 0.9 by default.

    Looked at are the columns of `data.columns`, the time point, and those by which genes are ranked or compared
    (`batch`, `within`) or a batch is taken out (harmony, scvi), in obs of `adata_with_dr.h5ad`. Measured is the median,
    over patients with at least 10 cells of each class, of the bias-corrected Cramer's V with the label, or of
    |2 AUC - 1| for numbers with more than 20 values; both are 0 for a column that says nothing and 1 for one that says
    all.

    Notes
    -----
    Above the bound it is a warning, as such columns are carried for people and are no features; a column by which the
    study is designed fails. `cv.group` is no such column: a clone may well have one label, and its cells should then
    lie in one fold. At 0.9 a column errs on about one cell in twenty when the classes are balanced.
    """
    most = threshold(context, "leak_columns", "at_most")
    design = _design(context.request)
    named = {f"data.columns.{role}": column for role, column in context.request.scope.columns.items()}
    named |= {role: column for role, column in technical_columns(context.request.scope).items() if role == "timepoint"}
    found = cohort_columns(context, (*named.values(), *design))
    if found is None:
        return  # `promised_files` reports it
    cells, columns = found
    own = {context.request.scope.label.column, context.request.scope.patient}
    looked = [column for column in dict.fromkeys((*named.values(), *design)) if column not in own and column in columns]
    strongest, n_patients = 0.0, 0
    for column in looked:
        strength, n_patients = strength_within(
            columns[column], cells["positive"].to_numpy(bool), cells["patient"].to_numpy(object)
        )
        strongest = max(strongest, strength)
        if strength > most:
            where = design.get(column) or next(role for role, other in named.items() if other == column)
            yield _finding(
                subject=column,
                severity="fail" if column in design else "warn",
                measured=f"{strength:.3f} ({where}), median over {n_patients} patients",
                threshold=f"at most {most:g}",
                reason=f"{WHY} {DESIGN if column in design else CARRIED}",
            )
    if strongest <= most:
        measured = f"{strongest:.3f} at most in {len(looked)} columns, {n_patients} patients"
        yield _finding(
            subject=context.request.step,
            severity="pass",
            measured=measured if looked else "no column is named",
            threshold=f"at most {most:g}",
            reason=WHY,
        )


def _design(request: StepRequest) -> dict[str, str]:
    """Return the columns by which the study is designed, and where its spec names them."""
    scope, found = request.scope, {}
    roles = {"timepoint": scope.timepoint.column} if scope.timepoint is not None else {}
    roles |= {"patient": scope.patient, **scope.columns}
    for entry in request.study.preprocess:
        for key in ("batch", "within"):
            if isinstance(value := getattr(entry, key, None), str):
                found[roles.get(value, value)] = f"preprocess {entry.tag}, {key}"
    for method in request.study.methods:
        if isinstance(value := request.study.method_settings.get(method, {}).get("batch"), str):
            found[roles.get(value, value)] = f"reduction.{method}.batch"
    return found
