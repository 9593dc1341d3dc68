"""Say at planning whether the cells in scope can carry the selections of genes, from counts of cells alone."""

from stagewright.state.refusals import Refusal
from stagewright.state.spec import GoalSpec
from stagewright.state.spec.faults import list_faults
from stagewright.state.spec.preprocess import DegWeakScreen, Hvg, Preprocess, TwoStage
from stagewright.state.survey import Survey

__all__ = ["check_gene_selection"]

MIN_CLASS_CELLS = 10
"""Of the Wilcoxon test; as in `stages.preprocess.wilcoxon`, which loads numerical libraries."""
MIN_BATCH_CELLS = 3
"""Of a variance in each batch; as in `stages.preprocess.hvg`."""
SHOWN = 6


def check_gene_selection(spec: GoalSpec, found: Survey) -> None:
    """Refuse selections that would fail on these cells whatever the checkpoint.

    Raises
    ------
    Refusal
        `invalid_data`: too few cells of a class for a Wilcoxon test, or of a patient for a batch.
    """
    entries = [(f"preprocess[{index}]", entry) for index, entry in enumerate(spec.preprocess)]
    if spec.reference is not None:
        entries.append(("reference", spec.reference))
    faults = [fault for place, entry in entries if (fault := _fault(place, entry, spec, found)) is not None]
    if faults:
        raise Refusal("invalid_data", f"genes cannot be selected on these cells:\n{list_faults(faults)}")


def _fault(place: str, entry: Preprocess, spec: GoalSpec, found: Survey) -> str | None:
    match entry:
        case DegWeakScreen() | TwoStage():
            return _few_of_a_class(place, entry, spec, found)
        case Hvg() if entry.batch == spec.data.patient:
            return _small_patients(place, found)
        case _:
            return None


def _few_of_a_class(place: str, entry: DegWeakScreen | TwoStage, spec: GoalSpec, found: Survey) -> str | None:
    within = entry.within == spec.data.patient
    compared = [item for item in found.patients if not within or (item.positive and item.negative)]
    positive, negative = sum(item.positive for item in compared), sum(item.negative for item in compared)
    if min(positive, negative) >= MIN_CLASS_CELLS:
        return None
    where = " in patients with both classes" if within else ""
    return (
        f"{place}: {entry.method} compares {positive} positive with {negative} negative cells{where}; the Wilcoxon "
        f"test needs {MIN_CLASS_CELLS} of each. Widen data.filters, or take a method without the label (hvg, "
        "all_filtered)"
    )


def _small_patients(place: str, found: Survey) -> str | None:
    cells = {item.patient: item.positive + item.negative for item in found.patients}
    small = [f"{patient} ({number})" for patient, number in cells.items() if number < MIN_BATCH_CELLS]
    if not small:
        return None
    shown = ", ".join(small[:SHOWN]) + (f", and {len(small) - SHOWN} more" if len(small) > SHOWN else "")
    return (
        f"{place}: hvg by patient needs {MIN_BATCH_CELLS} cells of each, and these have fewer: {shown}. Drop them with "
        "data.filters, or leave batch out"
    )
