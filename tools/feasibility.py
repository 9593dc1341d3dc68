"""Say at planning whether the data can carry the study: classes, patients and folds, from counts alone."""

import math

from stagewright.stages.largest_k import largest_k
from stagewright.state.refusals import Refusal
from stagewright.state.spec import Adjustments, GoalSpec, effective_study
from stagewright.state.spec.downsampling import RandomDownsampling
from stagewright.state.spec.effective import EffectiveStudy
from stagewright.state.spec.goal import CHECKPOINTS
from stagewright.state.survey import PatientCells, Survey

__all__ = [
    "check_feasible",
    "cohort_warnings",
    "control_warnings",
    "fewest_patients",
    "rank_warnings",
    "supervised_warnings",
]

SHOWN = 6
USUAL_P = 0.05
MIN_BATCH_CELLS = 3
"""As in the selection of highly variable genes: a variance of fewer cells says nothing."""
FEWEST_FOLDS = 2
FEWEST_KEPT_PATIENTS = 2
"""Beside a hold-out: a median over one patient is no median."""
FEWEST_DRAWN_PATIENTS = 4
"""Of two patients 3 of 8 pairs of samples are the same, of three one of 8."""


def check_feasible(spec: GoalSpec, found: Survey) -> None:
    """Refuse a study that cannot be run on the cells in scope.

    Raises
    ------
    Refusal
        `invalid_data`: no cells, one class only, no patient with both classes, or more folds than can be made; with
        the largest number of folds that is possible.
    """
    label = spec.data.label
    positive = sum(item.positive for item in found.patients)
    negative = sum(item.negative for item in found.patients)
    if positive + negative == 0:
        raise Refusal("invalid_data", _none_left(found))
    if positive == 0 or negative == 0:
        present, absent = (label.negative, label.positive) if positive == 0 else (label.positive, label.negative)
        raise Refusal(
            "invalid_data",
            f"data.label: after the filters every cell is {present!r} and none is {absent!r}; "
            "a classifier needs both. Change data.label, data.filters or data.timepoint.",
        )
    both = [item for item in found.patients if item.positive and item.negative]
    if not both:
        raise Refusal(
            "invalid_data",
            f"no patient has cells of both classes ({_shown(found.patients)}), so nothing can be compared within a "
            "patient. Change data.label, data.filters or data.timepoint.",
        )
    _check_grouping(spec, both)
    _check_batches(spec, found)
    _check_replicates(spec, found)
    _check_downsampling(spec, found)
    cv = spec.classifier.cv
    most = max(min(item.positive, item.negative) for item in both)
    if _folds_within_patients(spec) and cv.group == "none" and most < cv.folds:
        feasible = f"the largest feasible number of folds is {most}" if most > 1 else "cross-validation is not feasible"
        raise Refusal(
            "invalid_data",
            f"classifier.cv.folds: no patient has {cv.folds} cells of each class; {feasible} ({_shown(tuple(both))})",
        )


def fewest_patients(spec: GoalSpec) -> int:
    """Return how many patients with both classes a study with a hold-out has to keep."""
    cv, modes = spec.classifier.cv, spec.classifier.modes if "plan1c" in spec.stages else ()
    grouped = cv.folds if cv.group == spec.data.patient or "grouped" in modes else 0
    drawn = FEWEST_DRAWN_PATIENTS if spec.reduction.replicates == "bootstrap_patients" else 0
    return max(FEWEST_KEPT_PATIENTS, grouped, drawn)


def _folds_within_patients(spec: GoalSpec) -> bool:
    """Return whether a stage splits the cells of one patient into folds."""
    return "plan1b" in spec.stages or ("plan1c" in spec.stages and "per_patient" in spec.classifier.modes)


def _check_grouping(spec: GoalSpec, both: list[PatientCells]) -> None:
    """Refuse folds of whole patients that the patients cannot fill, and groups that a stage cannot keep together."""
    classifier, patient = spec.classifier, spec.data.patient
    cv = classifier.cv
    modes = classifier.modes if "plan1c" in spec.stages else ()
    by_patient = cv.group == patient or "grouped" in modes
    if by_patient and len(both) < cv.folds:
        raise Refusal(
            "invalid_data",
            f"classifier.cv: {cv.folds} folds grouped by {patient} need as many patients with both classes, and there "
            f"are {len(both)}; the largest feasible number of folds is {len(both)}",
        )
    if cv.group == patient and "plan1b" in spec.stages:
        raise Refusal(
            "invalid_spec",
            f"classifier.cv.group: got {cv.group!r}, the patient column; plan1b splits the cells of one patient, whose "
            "patient is one group. Group by a column that varies within a patient (a sample, a clone); Plan 1C groups "
            "by patient beside it with classifier.modes: [grouped]",
        )
    if cv.group == patient and {"pooled", "grouped"} <= set(modes):
        raise Refusal(
            "invalid_argument",
            f"classifier.modes: with cv.group {patient}, pooled has grouped folds already; leave out pooled or grouped",
        )


def _check_batches(spec: GoalSpec, found: Survey) -> None:
    """Refuse highly variable genes by patient where a patient has too few cells for a variance."""
    entries = dict.fromkeys([spec.reference_preprocess, *spec.preprocess])
    by_patient = [entry.tag for entry in entries if getattr(entry, "batch", None) == spec.data.patient]
    few = [item for item in found.patients if _training_cells(spec, item) < MIN_BATCH_CELLS]
    if by_patient and few:
        named = ", ".join(f"{item.patient} ({item.positive + item.negative})" for item in few[:SHOWN])
        where = " in a training fold (cv.scope pipeline)" if spec.classifier.cv.scope == "pipeline" else ""
        raise Refusal(
            "invalid_data",
            f"preprocess: {by_patient[0]} measures the variance of genes within each patient, and {len(few)} patients "
            f"have fewer than {MIN_BATCH_CELLS} cells{where}: {named}. Drop them by data.filters, or leave batch out.",
        )


def _training_cells(spec: GoalSpec, patient: PatientCells) -> int:
    """Return the fewest cells of a patient on which genes are chosen: its cells, or those of a training fold."""
    n_cells = patient.positive + patient.negative
    n_folds = min(spec.classifier.cv.folds, patient.positive, patient.negative)
    if spec.classifier.cv.scope != "pipeline" or n_folds < FEWEST_FOLDS:
        return n_cells
    return n_cells - math.ceil(n_cells / n_folds)


def _check_replicates(spec: GoalSpec, found: Survey) -> None:
    """Refuse bootstrap samples of so few patients that they would often be the same."""
    if spec.reduction.replicates == "bootstrap_patients" and len(found.patients) < FEWEST_DRAWN_PATIENTS:
        raise Refusal(
            "invalid_data",
            f"reduction.replicates: bootstrap_patients draws whole patients, and of {len(found.patients)} most samples "
            f"would be alike; at least {FEWEST_DRAWN_PATIENTS} are needed. Take bootstrap_cells or seed.",
        )


def _check_downsampling(spec: GoalSpec, found: Survey) -> None:
    """Refuse draws among the cells of a source that no cell comes from."""
    for index, variant in enumerate(spec.classifier.downsampling if "plan1c" in spec.stages else ()):
        if not isinstance(variant, RandomDownsampling):
            continue
        column = spec.data.columns.get(variant.source)
        levels = () if column is None else found.levels.get(column, ())
        if levels and variant.source_level not in levels:
            raise Refusal(
                "invalid_data",
                f"classifier.downsampling[{index}]: no cell has {variant.source_level!r} in {column}, the column of "
                f"data.columns.{variant.source}; its levels are {', '.join(levels[:SHOWN])}. Name the one whose cells "
                "are drawn as source_level; without such a role cells of the label's negative class are drawn.",
            )


def cohort_warnings(spec: GoalSpec, found: Survey, *, shown: int | None = None) -> list[str]:
    """Return what a person should know about patients that will have fewer folds or no result.

    At most `shown` of them are named in a warning; None names them all.
    """
    single = [item.patient for item in found.patients if not (item.positive and item.negative)]
    folds = spec.classifier.cv.folds
    few = [
        f"{item.patient} ({min(item.positive, item.negative)})"
        for item in found.patients
        if 0 < min(item.positive, item.negative) < folds
    ]
    warnings = []
    if single:
        have = "1 patient has" if len(single) == 1 else f"{len(single)} patients have"
        warnings.append(f"{have} a single class, so no classifier: {_few(single, shown)}")
    if few and _folds_within_patients(spec):
        warnings.append(f"fewer than {folds} cells of one class, so fewer folds or none: {_few(few, shown)}")
    return warnings


def rank_warnings(spec: GoalSpec, found: Survey) -> list[str]:
    """Return a warning for each checkpoint whose cells, or genes, cannot carry the largest K that it sweeps."""
    warnings = []
    for checkpoint in CHECKPOINTS:
        study = effective_study(spec, Adjustments(), checkpoint)
        most = study.cells_per_patient
        cells = [item.positive + item.negative for item in found.patients]
        n_cells = sum(cells if most is None else [min(most, count) for count in cells])
        over = _beyond(study, n_cells, found.n_vars + n_cells)
        if "plan0" in spec.stages and over:
            warnings.append(
                f"{over} at checkpoint {checkpoint}, which has {n_cells} cells: lower it, or raise "
                f"checkpoints.{checkpoint}.cells_per_patient",
            )
    n_genes = min(found.n_vars, getattr(spec.reference_preprocess, "n_top_genes", found.n_vars))
    over = _beyond(effective_study(spec, Adjustments(), "C"), n_genes * 2, n_genes)
    if "plan0" in spec.stages and over:
        warnings.append(f"{over} for {n_genes} genes: lower it")
    return warnings


def _beyond(study: EffectiveStudy, n_cells: int, n_genes: int) -> str | None:
    """Say which largest K of a method is above what so many cells and genes can carry."""
    for method, ks in study.ks.items():
        most = largest_k(method, n_cells, n_genes)
        if max(ks) > most:
            return f"K={max(ks)} of {method} does not exist (the largest is at most {most})"
    return None


def supervised_warnings(spec: GoalSpec) -> list[str]:
    """Return what labels in the choice of genes do: a warning for each preprocess, unless it is refitted in each fold.

    Plan 0 chooses K on all cells whatever the scope of cross-validation, so its reference is warned of in any case.
    """
    warnings = []
    reference = spec.reference_preprocess
    if reference.supervised and "plan0" in spec.stages:
        warnings.append(f"{reference.tag} chooses genes by the labels, and Plan 0 chooses K on them as its reference")
    if spec.classifier.cv.scope != "pipeline" or "plan1c" in spec.stages:
        warnings += [
            f"{entry.tag} chooses genes by the labels of all cells, test folds included: its cross-validated scores "
            "are optimistic, and it is not counted among the best configurations"
            for entry in spec.preprocess
            if entry.supervised
        ]
    return warnings


def control_warnings(spec: GoalSpec) -> list[str]:
    """Return a warning where Plan 2 has too few permutations for the p value that most readers look for."""
    n = spec.negative_controls.permutations
    if "plan2" not in spec.stages or 1 / (1 + n) <= USUAL_P:
        return []
    few = f"negative_controls: with {n} permutations no p value is below {1 / (1 + n):.2g}"
    return [f"{few}; {round(1 / USUAL_P) - 1} are needed for {USUAL_P:g}"]


def _few(names: list[str], shown: int | None) -> str:
    if shown is None or len(names) <= shown:
        return ", ".join(names)
    return f"{', '.join(names[:shown])}, and {len(names) - shown} more (PLAN.md names them)"


def _none_left(found: Survey) -> str:
    steps = "; ".join(found.filters) or "no filter was asked for"
    return f"no cell of the {found.n_obs} in the file is left with a label and a patient ({steps}). Change data.filters"


def _shown(patients: tuple[PatientCells, ...]) -> str:
    shown = ", ".join(
        f"{item.patient}: {item.positive} positive, {item.negative} negative" for item in patients[:SHOWN]
    )
    return shown + (f", and {len(patients) - SHOWN} more" if len(patients) > SHOWN else "")
