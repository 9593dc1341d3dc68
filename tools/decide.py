"""Decide on a step: continue, adjust or stop, with a rationale, on a verdict."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from stagewright.state.canonical import digest_json
from stagewright.state.clock import stamp, utc_now
from stagewright.state.events import Decided
from stagewright.state.ledger import Transition
from stagewright.state.records import Decision
from stagewright.state.refusals import Refusal
from stagewright.state.run_state import RunState, next_call, split_step
from stagewright.state.spec import GoalSpec
from stagewright.tools.adjusting import Adjustment, adjustment_of
from stagewright.tools.attempt_view import is_lost
from stagewright.tools.budget import budget_of
from stagewright.tools.lost_attempt import record_loss
from stagewright.tools.refresh_manifest import refresh_manifest
from stagewright.tools.replies import DecideReply, Tick
from stagewright.tools.step_requests import sealed_spec
from stagewright.tools.workspace import Workspace, not_allowed

__all__ = ["decide"]

MAX_RATIONALE = 4000


@dataclass(frozen=True, slots=True)
class _Asked:
    """The arguments of a call."""

    decision: Decision
    rationale: str
    adjustments: dict[str, JsonValue] | None
    proposal: int | None
    k_by_method: dict[str, int] | None

    def digest(self) -> str:
        """Return what tells this call from another."""
        return digest_json(
            {
                "decision": self.decision,
                "rationale": self.rationale,
                "adjustments": self.adjustments,
                "proposal": self.proposal,
                "k_by_method": dict(self.k_by_method) if self.k_by_method else None,
            },
        )


def decide(
    workspace: Workspace,
    run_id: Annotated[str, Field(description="From plan_run or read_state; a unique prefix will do")],
    decision: Literal["continue", "adjust", "stop"],
    rationale: Annotated[str, Field(description="Why, on which evidence; goes into the record")],
    *,
    adjustments: Annotated[
        dict[str, JsonValue] | None,
        Field(
            description="With adjust: new values of any of k, methods, preprocess, reference, seeds, penalties, "
            'alphas, cells_per_patient ({"C": 2000}; lower only), workers, runtime ("2h"), memory ("8GiB"), retries',
        ),
    ] = None,
    proposal: Annotated[
        int | None, Field(ge=0, description="With adjust: apply this proposal of a blocked step")
    ] = None,
    k_by_method: Annotated[
        dict[str, int] | None,
        Field(description='Another K of Plan 0\'s shortlist, e.g. {"fa": 40}'),
    ] = None,
) -> Iterator[Tick | DecideReply]:
    """Record a decision and move the run on. The same decision given twice in a row is recorded once.

    Parameters
    ----------
    decision
        `continue` (needs a verdict of pass or warn), `adjust` (opens the same step again) or `stop`.
    rationale
        Why, for the record.
    adjustments
        With `adjust`: new values of k, methods, preprocess, reference, seeds, penalties, alphas, cells_per_patient,
        workers, runtime, memory or retries.
    proposal
        With `adjust` on a blocked step: the number of the proposal to apply.
    k_by_method
        With `continue` or `adjust` after Plan 0: another K of the shortlist, by method.

    Yields
    ------
    A `DecideReply`.

    Raises
    ------
    Refusal
        `not_allowed_now`, `sealed`, `invalid_argument`, `over_cap`, `unavailable`, `run_locked` or `unknown_run`.
    """
    asked = _Asked(decision, rationale.strip(), adjustments, proposal, k_by_method)
    _check_words(asked)
    ledger = workspace.ledger(run_id)
    with ledger.transition() as transition:
        before = transition.state
        if before.finished:  # whoever ended it may have died before the manifest followed
            refresh_manifest(ledger.run, before, stamp(utc_now()))
        if before.last_decision == asked.digest():
            yield _reply(workspace, before, asked, repeated=True)
            return
        if asked.decision == "stop" and is_lost(ledger.run, before):
            record_loss(workspace, transition)  # or nobody would end what it left, and count what it used
        running = transition.state.status == "running"
        spec = None if asked.decision == "stop" else sealed_spec(ledger.run, before)  # a stop is always possible
        event = _event(workspace, transition.state, spec, asked)
        after = _commit(transition, event)
        refresh_manifest(ledger.run, after, stamp(utc_now()))
    yield _reply(workspace, after, asked, event=event, was_running=running)


def _check_words(asked: _Asked) -> None:
    if not 0 < len(asked.rationale) <= MAX_RATIONALE:
        raise Refusal("invalid_argument", f"rationale: say why, in 1 to {MAX_RATIONALE} characters; it is the record")
    if not asked.rationale.strip("."):
        raise Refusal("invalid_argument", 'rationale: "..." stands for your own words; say why, on which evidence')
    if asked.decision != "adjust" and (asked.adjustments or asked.proposal is not None):
        raise Refusal("invalid_argument", "adjustments and proposal go with decision='adjust' only")
    if asked.adjustments and asked.proposal is not None:
        raise Refusal("invalid_argument", "give either adjustments or a proposal, not both")
    if asked.decision == "stop" and asked.k_by_method:
        raise Refusal("invalid_argument", "k_by_method goes with decision='continue' or 'adjust'")


def _event(workspace: Workspace, state: RunState, spec: GoalSpec | None, asked: _Asked) -> Decided:
    if state.finished:
        raise not_allowed(state, f"the run is {state.status}; its record is closed and nothing can be decided.")
    adjusted = Adjustment({}, (), None)
    if asked.decision == "continue":
        _check_continue(state)
    if asked.decision == "adjust" and spec is not None:
        adjusted = adjustment_of(
            workspace,
            state,
            spec,
            values=asked.adjustments,
            proposal=asked.proposal,
            k_by_method=asked.k_by_method,
        )
    proposed_k = {} if adjusted.proposal is None else adjusted.proposal.k_by_method
    if proposed_k and asked.k_by_method:
        raise Refusal("invalid_argument", f"proposal {asked.proposal} chooses K itself; leave k_by_method out")
    chosen = _check_k(state, asked.k_by_method or proposed_k, asked.decision)
    message = {"continue": f"continue after {state.step}", "adjust": f"adjust {state.step}", "stop": "stop the run"}
    if adjusted.proposal is not None:
        message["adjust"] += f" by proposal {asked.proposal} ({adjusted.proposal.what})"
    return Decided(
        message=f"{message[asked.decision]}: {asked.rationale.splitlines()[0][:200]}",
        step=state.step,
        actor=workspace.actor,
        decision=asked.decision,
        rationale=asked.rationale,
        call_digest=asked.digest(),
        adjustments=adjusted.values,
        changes=adjusted.changes,
        label=adjusted.label,
        proposal=adjusted.proposal,
        before_first_look=not state.looked,
        k_by_method=chosen,
    )


def _check_continue(state: RunState) -> None:
    if state.status != "validated":
        raise not_allowed(state, f"continue needs a validated step, and {state.step} is {state.status}.")
    if state.verdict not in ("pass", "warn"):
        would = (
            state.gates.would_pass if state.gates and state.gates.would_pass else "read_state(view='gates') says why"
        )
        raise not_allowed(
            state,
            f"the verdict on {state.step} is {state.verdict}, and only pass or warn lets the run continue. {would}",
        )
    if state.recommended == "stop":
        raise not_allowed(state, f"{state.recommended_why}; the spec that was sealed says to stop then.")


def _check_k(state: RunState, chosen: dict[str, int], decision: Decision) -> dict[str, int]:
    for method, k in chosen.items():
        shortlist = state.k_shortlist.get(method)
        if shortlist is None:
            known = ", ".join(state.k_shortlist) or "none: Plan 0 has not been executed at this checkpoint"
            raise Refusal("invalid_argument", f"k_by_method: no shortlist for {method!r}; there are {known}")
        if k not in shortlist:
            allowed = ", ".join(map(str, shortlist))
            raise Refusal("invalid_argument", f"k_by_method.{method}: got {k}; Plan 0's shortlist is {allowed}")
    if chosen and not _prepares_embeddings(state, decision):
        raise not_allowed(
            state,
            f"k_by_method cannot be changed by {decision} at {state.step}: the embeddings of this checkpoint are made "
            "at the first step after Plan 0. Choose K when you continue from plan0, or adjust that step.",
        )
    return chosen


def _prepares_embeddings(state: RunState, decision: Decision) -> bool:
    """Return whether the step that a decision opens fits the embeddings of its checkpoint."""
    before = [split_step(step) for step in state.steps[: state.position + (decision == "continue")]]
    here = {stage for checkpoint, stage in before if checkpoint == state.checkpoint}
    return "plan0" in here and not here & {"plan1a", "plan1b"}


def _commit(transition: Transition, event: Decided) -> RunState:
    state = transition.state
    evidence: dict[str, JsonValue] = {
        "verdict": state.verdict,
        "gates": None if state.gates is None else state.gates.model_dump(mode="json"),
        "metrics": dict(state.sealed[state.step].metrics) if state.step in state.sealed else {},
        "recommended": state.recommended,
        "error": None if state.blocked is None else state.blocked.error,
    }
    fields = event.model_dump(mode="json", exclude={"call_digest"}) | {"evidence": evidence}
    transition.detail_once("decision", fields)
    return transition.commit(event)  # a supervisor at work looks at the ledger many times a second


def _reply(
    workspace: Workspace,
    state: RunState,
    asked: _Asked,
    *,
    event: Decided | None = None,
    repeated: bool = False,
    was_running: bool = False,
) -> DecideReply:
    changes = [] if event is None else [f"{item.field} ({item.label})" for item in event.changes]
    where = f"the run is {state.status}" if state.finished else f"{state.step} is {state.status}"
    applied = None if event is None or event.proposal is None else event.proposal
    if applied is not None:
        where += f", with this: {applied.what}" + (f" (it counts on this: {applied.first})" if applied.first else "")
    said = "was recorded before; nothing was recorded again" if repeated else "recorded"
    ending = "; its running attempt is being ended" if was_running else ""
    if event is not None and any(item.field == "k" for item in event.changes) and state.stage != "plan0":
        ending += "; the new K list is swept from the next checkpoint's plan0 on"
    return DecideReply(
        run_id=state.run_id,
        step=state.step,
        status=state.status,
        summary=f"Decision {asked.decision} {said}; {where}{ending}.",
        next=next_call(state),
        decision=asked.decision,
        repeated=repeated,
        changes=changes,
        label=None if event is None else event.label,
        before_first_look=not state.looked,
        k_by_method=state.k_by_method,
        budget=budget_of(workspace, state),
    )
