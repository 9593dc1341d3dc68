"""The steps of a study, and PLAN.md, which tells a person what will run."""

from collections.abc import Mapping

from stagewright.state.holdout import HoldoutSeal
from stagewright.state.records import Limits
from stagewright.state.spec.adjustments import Adjustments
from stagewright.state.spec.effective import EffectiveStudy, effective_study
from stagewright.state.spec.goal import CHECKPOINTS, GoalSpec
from stagewright.state.units import format_bytes, format_seconds

__all__ = ["plan_document", "plan_steps"]

PURPOSE = {
    "A": "smoke: every patient, method and preprocess on a few cells; finds what crashes",
    "B": "pilot: a reduced grid on enough cells for scores to mean something",
    "C": "full: everything that the spec declares",
}


def plan_steps(spec: GoalSpec) -> tuple[str, ...]:
    """Return the steps of a study in their order, e.g. ``("A/plan0", "A/plan1a", ...)``."""
    return tuple(f"{checkpoint}/{stage}" for checkpoint in CHECKPOINTS for stage in spec.stages)


def plan_document(
    run_id: str,
    spec: GoalSpec,
    limits: Limits,
    units: Mapping[str, int],
    warnings: list[str],
    holdout: HoldoutSeal | None = None,
) -> str:
    """Return the text of PLAN.md.

    Parameters
    ----------
    units
        The number of units of work of each step.
    warnings
        What a person should know before the first step.
    holdout
        What the run keeps of its sealed hold-out.
    """
    lines = [
        f"# Plan of {run_id}",
        "",
        f"**Objective.** {spec.objective}",
        "",
        (
            f"Label `{spec.data.label.column}`: {spec.data.label.positive} against {spec.data.label.negative}; "
            f"patients in `{spec.data.patient}`; data `{spec.data.path}`."
        ),
        "",
        (
            f"Budget: {format_seconds(limits.runtime_s)} of run time, {format_bytes(limits.memory_bytes)} of memory, "
            f"{limits.retries} retries for each step."
        ),
        "",
    ]
    built_in = any(stage.startswith("plan") for stage in spec.stages)  # a command scales itself
    for checkpoint in CHECKPOINTS:
        study = effective_study(spec, Adjustments(), checkpoint)
        lines += [
            f"## Checkpoint {checkpoint} - {PURPOSE[checkpoint]}",
            "",
            *(_scale_lines(study) if built_in else []),
            "",
        ]
        lines += ["| step | units |", "|---|---|"]
        lines += [f"| {step} | {units[step]} |" for step in plan_steps(spec) if step.startswith(f"{checkpoint}/")]
        lines += [""]
    lines += [
        "## Rules",
        "",
        (
            "Each step is executed, validated by its gates, and decided on. Only a verdict of pass or warn lets the "
            "run continue; only a checkpoint whose every step was validated without fail opens the next."
        ),
        "",
    ]
    lines += [f"- Success, judged from checkpoint B on: {criterion}" for criterion in spec.stop.success]
    lines += [
        f"- Failure, judged from checkpoint B on: {criterion}; continue is refused then"
        for criterion in spec.stop.failure
    ]
    if holdout is not None:
        lines.append(
            f"- Hold-out: {holdout.n_patients} patients ({holdout.n_both} with both classes, {holdout.n_cells} cells) "
            f"are put aside and seen by no step. The decision that completes the run asks the lock-box for their "
            f"score; about these patients it answers {holdout.queries} times, all runs together. Commitment to who "
            f"they are: sha256 {holdout.commitment}."
        )
    lines += [f"- A person approves before checkpoint {checkpoint}" for checkpoint in spec.approvals]
    if warnings:
        lines += ["", "## Warnings", "", *(f"- {warning}" for warning in warnings)]
    return "\n".join(lines).rstrip() + "\n"


def _scale_lines(study: EffectiveStudy) -> list[str]:
    cells = "all cells" if study.cells_per_patient is None else f"at most {study.cells_per_patient} cells per patient"
    swept = "; ".join(f"{method} K {', '.join(map(str, ks))}" for method, ks in study.ks.items())
    return [
        f"- Cells: {cells}",
        f"- Preprocess: {', '.join(entry.tag for entry in study.preprocess)} (Plan 0: {study.reference.tag})",
        f"- Scale: {study.normalisation}",
        f"- Methods: {swept}; seeds {', '.join(map(str, study.seeds))}",
        (
            f"- Classifier: {', '.join(study.penalties)} logistic path over {len(study.alphas)} penalty strengths; "
            f"{study.folds}-fold cross-validation repeated {study.repeats} times within each patient"
        ),
    ]
