"""Decide on a step: continue, adjust or stop, with a rationale, on a verdict."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from stagewright.state.events import Decided
from stagewright.state.holdout import HoldoutScore
from stagewright.state.ledger import Ledger, Transition
from stagewright.state.refresh_manifest import refresh_manifest
from stagewright.state.refusals import Refusal
from stagewright.state.run_state import RunState, next_call
from stagewright.state.spec import GoalSpec, effective_study
from stagewright.tools.adjusting import Adjustment, adjustment_of, k_changes, look, overall
from stagewright.tools.attempt_view import is_lost
from stagewright.tools.budget import budget_of
from stagewright.tools.decision_rules import Asked, check_continue, check_forecast, check_k, check_words
from stagewright.tools.holdout_query import ask_lockbox, ends_with_holdout
from stagewright.tools.lost_attempt import record_loss
from stagewright.tools.replies import DecideReply, Tick
from stagewright.tools.step_requests import sealed_spec
from stagewright.tools.workspace import Workspace, not_allowed

__all__ = ["decide"]


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

    `continue` after the last step of a run with a sealed hold-out asks the lock-box for its score first.

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
    Signs of life while the lock-box is at work, then a `DecideReply`.

    Raises
    ------
    Refusal
        `not_allowed_now`, `sealed`, `invalid_argument`, `over_cap`, `unavailable`, `run_locked` or `unknown_run`.
    """
    asked = Asked(decision, rationale.strip(), adjustments, proposal, k_by_method)
    check_words(asked)
    ledger = workspace.ledger(run_id)
    scored: _Scored | None = None
    for item in _holdout(workspace, ledger, asked):
        if isinstance(item, Tick):
            yield item
        else:
            scored = item
    with ledger.transition() as transition:
        before = transition.state
        if before.finished:  # whoever ended it may have died before the manifest followed
            refresh_manifest(ledger.run, before)
        if before.last_decision == asked.digest():
            yield _reply(workspace, before, asked, repeated=True)
            return
        if asked.decision == "stop" and is_lost(ledger.run, before):
            record_loss(workspace, transition)  # or nobody would end what it left, and count what it used
        running = transition.state.status == "running"
        spec = None if asked.decision == "stop" else sealed_spec(ledger.run, before)  # a stop is always possible
        event = _event(workspace, transition.state, spec, asked, scored)
        after = _commit(transition, event)
        refresh_manifest(ledger.run, after)
    yield _reply(workspace, after, asked, event=event, was_running=running, spec=spec)


@dataclass(frozen=True, slots=True)
class _Scored:
    """What the lock-box said, and the state of the run when it was asked."""

    state: RunState
    score: HoldoutScore


def _holdout(workspace: Workspace, ledger: Ledger, asked: Asked) -> Iterator[Tick | _Scored]:
    """Ask the lock-box where a decision is about to complete a run with a hold-out; the run's lock is free meanwhile.

    What keeps the run from continuing is said before that, so that no query is spent on a decision that is refused.
    """
    if asked.decision != "continue":
        return
    with ledger.transition() as transition:
        state = transition.state
    if not ends_with_holdout(state):
        return
    check_continue(state)
    check_k(state, asked.k_by_method or {}, asked.decision)
    for item in ask_lockbox(workspace, ledger, state):
        yield item if isinstance(item, Tick) else _Scored(state, item)


def _event(
    workspace: Workspace, state: RunState, spec: GoalSpec | None, asked: Asked, scored: _Scored | None
) -> Decided:
    if state.finished:
        raise not_allowed(state, f"the run is {state.status}; its record is closed and nothing can be decided.")
    adjusted = Adjustment({}, ())
    if asked.decision == "continue":
        check_continue(state)
        check_forecast(workspace, state)
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
    chosen = check_k(state, asked.k_by_method or proposed_k, asked.decision)
    if (scored is None) == (asked.decision == "continue" and ends_with_holdout(state)) or (
        scored is not None and (scored.state.attempt, scored.state.decisions) != (state.attempt, state.decisions)
    ):
        raise not_allowed(state, f"the run moved on to {state.status} while the hold-out was asked for; decide again.")
    changes = (*adjusted.changes, *k_changes(state, chosen))
    label = overall(changes)
    message = {"continue": f"continue after {state.step}", "adjust": f"adjust {state.step}", "stop": "stop the run"}
    if adjusted.proposal is not None:
        message["adjust"] += f" by proposal {asked.proposal} ({adjusted.proposal.what})"
    said = f" ({label}, {look(state)})" if label is not None else ""
    told = "" if scored is None else f" [{scored.score.said()}]"
    return Decided(
        message=f"{message[asked.decision]}{said}: {asked.rationale.splitlines()[0][:200]}{told}",
        step=state.step,
        actor=workspace.actor,
        decision=asked.decision,
        rationale=asked.rationale,
        call_digest=asked.digest(),
        adjustments=adjusted.values,
        changes=changes,
        label=label,
        proposal=adjusted.proposal,
        before_first_look=not state.looked,
        k_by_method=chosen,
        holdout=None if scored is None else scored.score,
    )


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
    asked: Asked,
    *,
    event: Decided | None = None,
    repeated: bool = False,
    was_running: bool = False,
    spec: GoalSpec | None = None,
) -> DecideReply:
    changes = [] if event is None else [f"{item.field} ({item.label})" for item in event.changes]
    where = f"the run is {state.status}" if state.finished else f"{state.step} is {state.status}"
    applied = None if event is None or event.proposal is None else event.proposal
    if applied is not None:
        where += f", with this: {applied.what}" + (f" (it counts on this: {applied.first})" if applied.first else "")
    said = "was recorded before; nothing was recorded again" if repeated else "recorded"
    said += f" ({event.label}, {look(state)})" if event is not None and event.label is not None else ""
    ending = "; its running attempt is being ended" if was_running else ""
    if event is not None and any(item.field == "k" for item in event.changes) and state.stage != "plan0":
        ending += "; the new K list is swept from the next checkpoint's plan0 on"
    elif event is not None and event.adjustments.get("k") is not None and spec is not None:
        ending += _swept(state, spec)
    if state.holdout_score is not None:
        ending += f"; {state.holdout_score.said()}"
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
        holdout=state.holdout_score,
        budget=budget_of(workspace, state),
    )


def _swept(state: RunState, spec: GoalSpec) -> str:
    """Return which K of an adjusted list the present checkpoint sweeps, where it does not sweep all of them."""
    study, whole = effective_study(spec, state.adjustments, state.checkpoint), state.adjustments.applied_to(spec)
    cut = [f"{method} {', '.join(map(str, ks))}" for method, ks in study.ks.items() if ks != whole.reduction.ks(method)]
    return f"; checkpoint {state.checkpoint} sweeps the smallest of the new K: {'; '.join(cut)}" if cut else ""
