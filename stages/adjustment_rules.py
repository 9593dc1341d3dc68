"""What an adjusted study has to be: fit for this server, within the operator's caps, and at one with the sealed steps.

One rule for `decide`, which refuses what breaks it, and for the error handlers, which show no proposal that would be
refused.
"""

from collections.abc import Mapping
from typing import Any

from stagewright.stages.catalogue import STAGES, spec_faults
from stagewright.state.over_caps import over_caps
from stagewright.state.policy import Caps
from stagewright.state.refusals import Refusal
from stagewright.state.run_state import RunState, next_call, split_step
from stagewright.state.spec import Adjustments, EffectiveStudy, GoalSpec, effective_study
from stagewright.state.spec.faults import list_faults
from stagewright.state.spec.goal import CHECKPOINTS, Checkpoint
from stagewright.state.spec.preprocess import GeneList
from stagewright.state.spec.scales import scale_of
from stagewright.state.step_units import sealed_embeddings

__all__ = ["check_adjustment", "with_reference_kept"]


def with_reference_kept(state: RunState, present: GoalSpec, newer: Adjustments) -> Adjustments:
    """Return adjustments that leave Plan 0's reference as it is, where a checkpoint's Plan 0 is sealed on it.

    A spec without a `reference` takes the first preprocess for it. A changed preprocess list at a later step would
    change it unseen, although this checkpoint's K was chosen on it.
    """
    unsaid = present.reference is None and newer.reference is None
    if newer.preprocess is None or not unsaid or not _sealed_before(state, "plan0"):
        return newer
    if newer.preprocess[0] == present.reference_preprocess:
        return newer
    return newer.model_copy(update={"reference": present.reference_preprocess})


def check_adjustment(
    state: RunState,
    present: GoalSpec,
    wanted: GoalSpec,
    newer: Adjustments,
    *,
    caps: Caps,
    commands: Mapping[str, Any],
) -> None:
    """Refuse an adjustment of the present step that the rest of the run does not allow.

    Parameters
    ----------
    present, wanted
        The spec with the adjustments made so far, and with `newer` on top.
    caps
        The operator's bounds on what `newer` asks for.
    commands
        The operator's registered command stages by name.

    Raises
    ------
    Refusal
        `unavailable`, `over_cap` or `not_allowed_now`.
    """
    if faulty := spec_faults(wanted, commands):
        raise Refusal("unavailable", f"the adjusted study cannot run on this server:\n{list_faults(faulty)}")
    if over := over_caps(caps, newer.runtime, newer.memory, newer.retries, newer.workers):
        raise Refusal("over_cap", f"above the operator's caps:\n{list_faults(over)}")
    why = _raised(newer, wanted) or _cells_fault(state, present, wanted)
    why = why or _reference_fault(state, present, wanted) or _unprepared(state, present, wanted)
    why = why or _unsealed_list(state, wanted)
    if why is not None:
        raise Refusal(
            "not_allowed_now",
            why,
            status=f"{state.status} at {state.step}",
            run_id=state.run_id,
            next_call=next_call(state),
        )


def _sealed_before(state: RunState, stage: str | None = None) -> str | None:
    """Return the first sealed step of this checkpoint before the present one; that of one stage only, if named."""
    before = [step for step in state.steps[: state.position] if split_step(step)[0] == state.checkpoint]
    found = (step for step in before if step in state.sealed and stage in (None, split_step(step)[1]))
    return next(found, None)


def _raised(newer: Adjustments, wanted: GoalSpec) -> str | None:
    for name, asked in (newer.cells_per_patient or {}).items():
        sealed = _cells(wanted, name)
        if sealed is not None and asked > sealed:
            return f"cells_per_patient.{name}: got {asked}; the sealed spec has {sealed}, and it can only be lowered"
    return None


def _cells_fault(state: RunState, present: GoalSpec, wanted: GoalSpec) -> str | None:
    """Every step of a checkpoint looks at the same cells: K is chosen on them, and scores are compared over them."""
    changed = [name for name in CHECKPOINTS if _cells(present, name) != _cells(wanted, name)]
    over = [name for name in changed if CHECKPOINTS.index(name) < CHECKPOINTS.index(state.checkpoint)]
    if over:
        return f"cells_per_patient.{over[0]}: checkpoint {over[0]} is over; the run is at {state.step}"
    sealed = _sealed_before(state)
    if state.checkpoint in changed and sealed is not None:
        return (
            f"cells_per_patient.{state.checkpoint} cannot be changed at {state.step}: {sealed} was sealed on other "
            f"cells ({_said(_cells(present, state.checkpoint))}), and all steps of a checkpoint look at the same ones. "
            "Change it before the first step of a checkpoint that is still to come; here, leave out a method or a "
            "preprocess."
        )
    return None


def _reference_fault(state: RunState, present: GoalSpec, wanted: GoalSpec) -> str | None:
    sealed = _sealed_before(state, "plan0")
    if sealed is None or present.reference_preprocess == wanted.reference_preprocess:
        return None
    return (
        f"reference cannot be changed at {state.step}: {sealed} chose this checkpoint's K on "
        f"{present.reference_preprocess.tag}, and one checkpoint has one reference. Change it at a plan0 step."
    )


def _unprepared(state: RunState, present: GoalSpec, wanted: GoalSpec) -> str | None:
    """Say what would be added to a grid although an earlier, sealed step of this checkpoint has not prepared it."""
    if not (STAGES[state.stage].after if state.stage in STAGES else ()):
        return None
    before = effective_study(present, Adjustments(), state.checkpoint)
    after = effective_study(wanted, Adjustments(), state.checkpoint)
    unswept = [method for method in after.methods if method not in state.k_by_method]
    if unswept:
        return (
            f"{', '.join(unswept)} cannot be added at {state.step}: {state.checkpoint}/plan0 chose no K for it. It is "
            f"swept at the next checkpoint if you add it there; here there are {', '.join(state.k_by_method)}."
        )
    maker = sealed_embeddings(state.stage, state.checkpoint, state.sealed)
    if maker is not None:
        known = {entry.tag for entry in before.preprocess}
        added = [entry.tag for entry in after.preprocess if entry.tag not in known]
        added += [method for method in after.methods if method not in before.methods]
        if added:
            return (
                f"{', '.join(added)} cannot be added at {state.step}: {maker} sealed no embedding of "
                "it. Leave out what you like here, or add it at the next checkpoint."
            )
    if "plan2" in present.stages and any(_sealed_before(state, stage) for stage in before.mirrored):
        return _other_than_mirrored(state, before, after)
    return None


def _other_than_mirrored(state: RunState, before: EffectiveStudy, after: EffectiveStudy) -> str | None:
    """Say what would make the permuted labels' grid another than the one that the observed labels went through."""
    added = [entry.tag for entry in after.preprocess if entry not in before.preprocess]
    added += [method for method in after.methods if method not in before.methods]
    added += [penalty for penalty in after.penalties if penalty not in before.penalties]
    added += [] if after.alphas == before.alphas else ["other alphas"]
    added += [] if after.seeds[:1] == before.seeds[:1] else ["another first seed"]
    if not added:
        return None
    return (
        f"{', '.join(added)}: not at {state.step}: plan2 compares permuted labels with the sealed results of "
        f"{', '.join(stage for stage in before.mirrored if _sealed_before(state, stage))} and so has to run the same "
        "grid. Leave out what you like here, or change it at the next checkpoint."
    )


def _unsealed_list(state: RunState, wanted: GoalSpec) -> str | None:
    sealed = state.data.gene_lists or {}
    for entry in (*wanted.preprocess, wanted.reference_preprocess):
        if isinstance(entry, GeneList) and entry.path not in sealed:
            return (
                f"{entry.path} was not sealed when the run was planned; a new gene list is a new run with parent_run_id"
            )
    return None


def _cells(spec: GoalSpec, checkpoint: Checkpoint) -> int | None:
    return scale_of(spec, checkpoint).cells_per_patient


def _said(cells: int | None) -> str:
    return "all" if cells is None else f"at most {cells} of each patient"
