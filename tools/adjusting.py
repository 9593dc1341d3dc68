"""What an adjustment comes to: parsed, within the caps, fit for the step that it re-opens, and labelled."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue, ValidationError

from stagewright.stages.adjustment_rules import check_adjustment, with_reference_kept
from stagewright.state.records import Proposal
from stagewright.state.refusals import Refusal
from stagewright.state.run_state import RunState
from stagewright.state.spec import Adjustments, FieldChange, GoalSpec, compare
from stagewright.state.spec.adjustments import Label
from stagewright.state.spec.faults import describe_faults, list_faults
from stagewright.tools.workspace import Workspace, not_allowed

__all__ = ["Adjustment", "adjustment_of", "k_changes", "look", "overall"]

SEALED_KEYS = frozenset(
    {"objective", "data", "label", "holdout", "stop", "gates", "cv", "group", "scope", "folds", "repeats"}
    | {"stages", "checkpoints", "approvals", "classifier", "reduction", "privacy"},
)


@dataclass(frozen=True, slots=True)
class Adjustment:
    """New values of adjustable fields, and what they change.

    Attributes
    ----------
    proposal
        The blocked step's proposal that holds the values, where one does.
    """

    values: dict[str, JsonValue]
    changes: tuple[FieldChange, ...]
    proposal: Proposal | None = None

    @property
    def label(self) -> Label | None:
        """What the changes do to the study, all in all."""
        return overall(self.changes)


def adjustment_of(
    workspace: Workspace,
    state: RunState,
    spec: GoalSpec,
    *,
    values: dict[str, JsonValue] | None,
    proposal: int | None,
    k_by_method: dict[str, int] | None,
) -> Adjustment:
    """Return what an adjustment of the present step comes to.

    Parameters
    ----------
    values, proposal
        The new values, or the number of the blocked step's proposal that holds them.
    k_by_method
        What the same call chooses of Plan 0's shortlist: an adjustment may consist of that alone.

    Raises
    ------
    Refusal
        `not_allowed_now`, `sealed`, `invalid_argument`, `unavailable` or `over_cap`.
    """
    if state.status not in ("planned", "validated", "blocked"):
        raise not_allowed(state, f"a step that is {state.status} cannot be adjusted.")
    applied = None if proposal is None else _proposed(state, proposal)
    present = state.adjustments.applied_to(spec)
    asked = dict(values or {}) if applied is None else applied.adjustments
    newer = with_reference_kept(state, present, _parsed(state, asked))
    try:
        wanted = state.adjustments.merged(newer).applied_to(spec)
    except ValidationError as error:
        faults = list_faults(describe_faults(error, Adjustments))
        raise Refusal("invalid_argument", f"the adjustments do not fit together:\n{faults}") from error
    policy = workspace.policy
    check_adjustment(state, present, wanted, newer, caps=policy.caps, commands=policy.commands)
    changes = compare(present, wanted)
    if not changes and not k_by_method and state.status == "planned":
        raise not_allowed(state, "the adjustments change nothing and the step is ready as it is.")
    return Adjustment(newer.model_dump(mode="json", exclude_none=True), changes, applied)


def _proposed(state: RunState, number: int) -> Proposal:
    proposals = state.blocked.proposals if state.blocked is not None else ()
    if not 0 <= number < len(proposals):
        known = f"0 to {len(proposals) - 1}" if proposals else "none: the step is not blocked, or has no proposals"
        raise Refusal("invalid_argument", f"proposal: got {number}; there are {known}", run_id=state.run_id)
    return proposals[number]


def _parsed(state: RunState, values: dict[str, JsonValue]) -> Adjustments:
    sealed = sorted(key for key in values if key.split(".")[0] in SEALED_KEYS)
    if sealed:
        raise Refusal(
            "sealed",
            f"{', '.join(sealed)} cannot be adjusted: objective, data, label, hold-out, stop criteria, gate "
            "thresholds, CV scope and grouping were sealed when the run was planned. Adjustable: "
            f"{', '.join(Adjustments.model_fields)}. To change the rest, plan a new run with "
            f"parent_run_id={state.run_id!r}.",
            run_id=state.run_id,
            status=f"{state.status} at {state.step}",
        )
    try:
        return Adjustments.model_validate(values)
    except ValidationError as error:
        faults = list_faults(describe_faults(error, Adjustments))
        raise Refusal("invalid_argument", f"the adjustments have faults:\n{faults}") from error


def k_changes(state: RunState, chosen: Mapping[str, int]) -> tuple[FieldChange, ...]:
    """Return what another choice of Plan 0's shortlist changes: neutral, as every K of it fulfils the rule."""
    before = state.k_by_method
    return tuple(
        FieldChange(field=f"k_by_method.{method}", before=before.get(method), after=k, label="neutral")
        for method, k in chosen.items()
        if before.get(method) != k
    )


def overall(changes: tuple[FieldChange, ...]) -> Label | None:
    """Return the label of all changes together: what loosens in one place is not made good in another."""
    labels = {change.label for change in changes}
    if not labels:
        return None
    return "loosens" if "loosens" in labels else "tightens" if "tightens" in labels else "neutral"


def look(state: RunState) -> str:
    """Return whether a decision of now is taken before or after the first look at a score of checkpoint B or C."""
    return f"{'after' if state.looked else 'before'} the first look"
