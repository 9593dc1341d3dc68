"""The label does not coincide with who, when or where the cells are from."""

import json
from collections.abc import Iterator, Mapping
from functools import partial

from stagewright.gates.association import cramers_v
from stagewright.gates.catalogue import threshold
from stagewright.gates.cohort_columns import cohort_columns
from stagewright.gates.protocol import Finding, GateContext
from stagewright.state.layout import plan1c_folder
from stagewright.state.technical_columns import technical_columns

__all__ = ["confounded_label"]

_finding = partial(Finding, gate="confounded_label")
TOLERANCE = 1e-4
WHY = (
    "Where the label nearly coincides with a patient, batch or time point, what tells the classes apart may be that, "
    "and scores of all cells together say nothing of the label."
)
REMEDY = (
    "Read scores within patients only, and the technical decoy beside them. To pass: take cells of both classes from "
    "each level, by data.filters or more samples."
)
AGAIN = "To pass: adjust, so that the step is executed again; if it comes back, the stage itself is wrong."


def confounded_label(context: GateContext) -> Iterator[Finding]:
    """Compare the label's association with patient, time point and technical columns with the bound, 0.9 by default.

    Measured is the bias-corrected Cramer's V over all cells that have one of the two labels, from obs of
    `adata_with_dr.h5ad`. For Plan 1c, what `confounding.json` says of the same columns has to agree within 1e-4.

    Notes
    -----
    A warning: labels that are given by patient or visit coincide with it by design, and models within patients are
    untouched by differences between them. A real cohort in which a third of the donors have one class reaches 0.6 for
    the patient; at 0.9 fewer than one cell in twenty has the other label than its level, when the classes are balanced.
    """
    most = threshold(context, "confounded_label", "at_most")
    scope = context.request.scope
    named = {"patient": scope.patient} | technical_columns(scope)
    found = cohort_columns(context, named.values())
    if found is None:
        return  # `promised_files` reports it
    cells, columns = found
    positive = cells["positive"].to_numpy(bool)
    strengths = {
        role: cramers_v(columns[column].astype(str).to_numpy(dtype=object), positive)
        for role, column in named.items()
        if column in columns
    }
    if context.request.stage == "plan1c":
        yield from _reported(context, strengths)
    for role, strength in strengths.items():
        if strength > most:
            yield _finding(
                subject=f"{role} ({named[role]})",
                severity="warn",
                measured=f"Cramer's V with the label {strength:.3f}",
                threshold=f"at most {most:g}",
                reason=f"{WHY} {REMEDY}",
            )
    if all(strength <= most for strength in strengths.values()):
        shown = ", ".join(f"{role} {strength:.3f}" for role, strength in strengths.items())
        yield _finding(
            subject=context.request.step,
            severity="pass",
            measured=f"Cramer's V with the label: {shown}",
            threshold=f"at most {most:g}",
            reason=WHY,
        )


def _reported(context: GateContext, strengths: Mapping[str, float]) -> Iterator[Finding]:
    path = context.run / plan1c_folder(context.request.checkpoint) / "confounding.json"
    try:
        columns = json.loads(path.read_text(encoding="utf-8"))["columns"]
        said = {role: float(entry["cramers_v"]) for role, entry in columns.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return  # `promised_files` reports it
    for role, strength in strengths.items():
        if role in said and not abs(said[role] - strength) <= TOLERANCE:
            yield _finding(
                subject=f"{role} in confounding.json",
                severity="fail",
                measured=f"Cramer's V {said[role]:.4f}",
                threshold=f"{strength:.4f} from obs, within {TOLERANCE:g}",
                reason=f"{WHY} {AGAIN}",
            )
