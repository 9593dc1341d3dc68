"""Try a proposal without running it: schema, server, caps, sealed steps, data, time, and memory.

What passes here is accepted by `decide`: both follow `stages.adjustment_rules`.
"""

from dataclasses import dataclass

from pydantic import ValidationError

from stagewright.stages.adjustment_rules import check_adjustment, with_reference_kept
from stagewright.stages.handlers.case import MEMORY_KINDS, FailedCase
from stagewright.stages.handlers.data_bounds import fits_data
from stagewright.stages.handlers.expected_memory import expected_memory
from stagewright.stages.handlers.harm import Harm, harm_of
from stagewright.state.policy import Caps
from stagewright.state.records import Proposal
from stagewright.state.refusals import Refusal
from stagewright.state.spec import Adjustments, GoalSpec

__all__ = ["Tried", "try_out"]

HEADROOM = 0.9
"""Where memory was short, an estimate has to stay below this share of the limit."""


@dataclass(frozen=True, slots=True)
class Tried:
    """A proposal that would be accepted, and what it does to the study."""

    proposal: Proposal
    harm: Harm


def try_out(case: FailedCase, proposal: Proposal) -> Tried | None:
    """Return the proposal with its estimate, or None when `decide` would refuse it or it could not help."""
    wanted = _wanted(case, proposal)
    if wanted is None or not _time_is_left(case, proposal, wanted):
        return None
    chosen = proposal.k_by_method
    if any(k not in case.state.k_shortlist.get(method, ()) for method, k in chosen.items()):
        return None
    if chosen and not _chooses_k(case):
        return None
    if (proposal.adjustments or chosen) and not fits_data(case, wanted, chosen):
        return None
    workers = min(wanted.budget.workers or case.workers, case.workers)
    memory = expected_memory(case, wanted, workers=workers, chosen=chosen)
    if memory is not None and proposal.first is None:
        limit = min(wanted.budget.memory, case.caps.memory_bytes)
        if memory > limit * (HEADROOM if case.failure.kind in MEMORY_KINDS else 1.0):
            return None
    harm = harm_of(case.spec, wanted, workers=case.workers, chosen=chosen, average_cells=case.average_cells)
    return Tried(proposal.model_copy(update={"estimated_memory_bytes": memory}), harm)


def _wanted(case: FailedCase, proposal: Proposal) -> GoalSpec | None:
    """Return the spec with the proposal applied, if `decide` would accept it."""
    caps = Caps.model_construct(
        runtime=case.caps.runtime_s,
        memory=case.caps.memory_bytes,
        retries=case.caps.retries,
        workers=case.workers,  # which the operator's cap allowed
    )
    try:
        newer = with_reference_kept(case.state, case.spec, Adjustments.model_validate(proposal.adjustments))
        wanted = newer.applied_to(case.spec)
        check_adjustment(case.state, case.spec, wanted, newer, caps=caps, commands=dict.fromkeys(case.spec.stages))
    except (ValidationError, Refusal):
        return None
    return wanted


def _time_is_left(case: FailedCase, proposal: Proposal, wanted: GoalSpec) -> bool:
    """Return whether the step could run at all: past the budget it would be blocked again at once."""
    runtime_s = wanted.budget.runtime if "runtime" in proposal.adjustments else case.limits.runtime_s
    return proposal.first is not None or min(runtime_s, case.caps.runtime_s) > case.runtime_used_s


def _chooses_k(case: FailedCase) -> bool:
    """Return whether the present step is the one that fits this checkpoint's embeddings."""
    here = [step for step in case.state.steps[: case.state.position] if step[0] == case.state.checkpoint]
    fits = {f"{case.state.checkpoint}/{stage}" for stage in ("plan1a", "plan1b", "plan1c")}
    return f"{case.state.checkpoint}/plan0" in here and not fits & set(here)
