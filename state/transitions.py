"""Fold the events of the ledger into the state of a run. No clock, no disk.

The law of the machine
----------------------
- `execute_stage` starts an attempt only at a `planned` step; at a `running` one it attaches.
- `validate_stage` runs the gates only on an `executed` step, or again on a `validated` one.
- `continue` needs a verdict of pass or warn. It leads to the next stage, after the last stage of a checkpoint to the
  next checkpoint, after the last step to `completed`. A checkpoint opens only when every step of the one before it was
  validated without fail, when its forecast, where there is one, fits what is left of the budget by its upper bounds,
  and, where the spec asks for approval, when a person has approved.
- `adjust` opens the same step again with a changed effective spec. A finished attempt is never opened again: a retry is
  a new attempt, and attempts are numbered through the whole run.
- An attempt ends once: finished or lost. Another may begin only after that.
- Attempts of a step may fail `retries` times, or less often where the failure cannot pass or an operator's cap is
  lower; then the step is `blocked`, until an adjustment or a stop.
- A run with a sealed hold-out completes only by a decision that says what the lock-box answered, or that its questions
  were used up; no other decision may carry a score. So a run is told of its hold-out once.
- What other runs tried on the same data and label is counted from the first entry on, and never taken back.
- `stop` is always possible. After it, or after `completed`, nothing may happen but the end of a cancelled attempt.
"""

from stagewright.state.events import (
    Approved,
    AttemptFinished,
    AttemptLost,
    AttemptStarted,
    Decided,
    Event,
    RunPlanned,
    StepBlocked,
    StepValidated,
    TornTailMoved,
)
from stagewright.state.refusals import LedgerCorrupt
from stagewright.state.run_state import RunState, SealedStep, split_step
from stagewright.state.spec.adjustments import Adjustments
from stagewright.state.tried import merged_tried

__all__ = ["ImpossibleTransition", "advance", "fold"]


class ImpossibleTransition(LedgerCorrupt):
    """An entry claims what the law of the machine does not allow."""


def fold(events: list[Event]) -> RunState:
    """Return the state after all `events`.

    Raises
    ------
    ImpossibleTransition
        When the events could not have happened in this order.
    """
    state: RunState | None = None
    for event in events:
        state = advance(state, event)
    if state is None:
        raise ImpossibleTransition("the ledger is empty: a run begins with run_planned")
    return state


def advance(state: RunState | None, event: Event) -> RunState:
    """Return the state after one more event; `state` is None before the first.

    Raises
    ------
    ImpossibleTransition
        When the event could not have happened in this state.
    """
    if isinstance(event, RunPlanned):
        _need(state is None, "run_planned is the first entry and comes once")
        return _planned(event)
    if state is None:
        raise ImpossibleTransition(f"{event.event} stands before run_planned")
    if isinstance(event, TornTailMoved):
        return state
    follows = isinstance(event, AttemptFinished) and state.status == "stopped"  # the end of what a stop cancelled
    if not isinstance(event, Decided) and not follows:  # only a decision that nothing followed can be given twice
        state = state.model_copy(update={"last_decision": None})
    return _advanced(state, event)


def _advanced(state: RunState, event: Event) -> RunState:  # noqa: PLR0911 - one line for each kind of event
    match event:
        case AttemptStarted():
            return _attempt_started(state, event)
        case AttemptFinished():
            return _attempt_finished(state, event)
        case AttemptLost():
            return _attempt_lost(state, event)
        case StepBlocked():
            _need(state.status == "planned", f"step_blocked at status {state.status}")
            return state.model_copy(update={"status": "blocked", "blocked": event.blocked})
        case StepValidated():
            return _validated(state, event)
        case Decided():
            return _decided(state, event)
        case Approved():
            _need(state.status == "awaiting_approval", f"approved at status {state.status}")
            _need(event.checkpoint == state.checkpoint, f"approved {event.checkpoint} before {state.step}")
            return state.model_copy(update={"status": "planned"})
        case RunPlanned() | TornTailMoved():  # handled by `advance`
            return state


def _need(holds: bool, otherwise: str) -> None:  # noqa: FBT001 - reads as an assertion
    if not holds:
        raise ImpossibleTransition(otherwise)


def _planned(event: RunPlanned) -> RunState:
    _need(len(event.steps) > 0, "a run has at least one step")
    state = RunState(
        run_id=event.run_id,
        objective=event.objective,
        parent_run_id=event.parent_run_id,
        spec_sha256=event.spec_sha256,
        spec_digest=event.spec_digest,
        data=event.data,
        limits=event.limits,
        approvals=event.approvals,
        steps=event.steps,
        holdout=event.holdout,
        cells_by_patient=event.cells_by_patient,
        gates_sealed=event.gates,
        setting=event.setting,
        tried_before=event.tried_before,
        pseudonym_key_id=event.pseudonym_key_id,
    )
    return state.model_copy(update={"status": "awaiting_approval" if _needs_approval(state, 0) else "planned"})


def _needs_approval(state: RunState, position: int) -> bool:
    """Return whether the step at `position` is the first of a checkpoint that a person has to approve."""
    checkpoint = split_step(state.steps[position])[0]
    first = position == 0 or split_step(state.steps[position - 1])[0] != checkpoint
    return first and checkpoint in state.approvals


def _attempt_started(state: RunState, event: AttemptStarted) -> RunState:
    retrying = state.status == "running" and not state.attempt_open
    _need(state.status == "planned" or retrying, f"attempt_started at status {state.status}")
    _need(event.step == state.step, f"attempt_started at {event.step} where {state.step} is the step")
    _need(event.attempt == state.attempt + 1, f"attempt {event.attempt} where {state.attempt + 1} follows")
    started = {"status": "running", "attempt": event.attempt, "attempt_open": True, "blocked": None}
    started["tried_before"] = merged_tried(state.tried_before, event.tried_before)
    return state.model_copy(update=started)


def _attempt_finished(state: RunState, event: AttemptFinished) -> RunState:
    _need(event.attempt == state.attempt, f"attempt {event.attempt} finished while {state.attempt} is the newest")
    _need(state.attempt_open, f"attempt {event.attempt} finished twice")
    used: dict[str, object] = {
        "attempt_open": False,
        "runtime_used_s": state.runtime_used_s + event.elapsed_s,
        "runtime_by_checkpoint": _spent(state, event.elapsed_s),
        "peak_rss_bytes": max(state.peak_rss_bytes, event.peak_rss_bytes),
    }
    if state.status == "stopped":
        _need(event.outcome == "cancelled", f"an attempt of a stopped run ended as {event.outcome}")
        return state.model_copy(update=used)
    _need(state.status == "running", f"attempt_finished at status {state.status}")
    _need(event.step == state.step, f"attempt_finished at {event.step} where {state.step} is the step")
    if event.outcome == "executed":
        return _executed(state.model_copy(update=used), event)
    _need(event.outcome == "failed", "an attempt is cancelled only in a stopped run")
    tries = state.tries + 1
    _need(not event.will_retry or tries <= state.effective_limits.retries, "a retry beyond the bound")
    _need(event.will_retry or event.blocked is not None, "a failure that is not retried says why the step is blocked")
    failed = used | {"tries": tries, "failures": state.failures + 1, "blocked": event.blocked}
    failed |= {"failed_as": (*state.failed_as, event.failure or "bug")}
    return state.model_copy(update=failed | {"status": "running" if event.will_retry else "blocked"})


def _spent(state: RunState, elapsed_s: float) -> dict[str, float]:
    before = state.runtime_by_checkpoint
    return before | {state.checkpoint: before.get(state.checkpoint, 0.0) + elapsed_s}


def _executed(state: RunState, event: AttemptFinished) -> RunState:
    if event.artifacts is None:
        raise ImpossibleTransition("an executed attempt seals its artifacts")
    sealed = SealedStep(
        attempt=event.attempt,
        artifacts=event.artifacts,
        metrics=event.metrics,
        elapsed_s=event.elapsed_s,
        peak_rss_bytes=event.peak_rss_bytes,
    )
    return state.model_copy(
        update={
            "status": "executed",
            "sealed": state.sealed | {state.step: sealed},
            # A stage that chooses K chooses anew: what it chose for a method that was left out since is void.
            "k_by_method": event.k_by_method or state.k_by_method,
            "k_shortlist": event.k_shortlist or state.k_shortlist,
            "configurations": tuple(dict.fromkeys([*state.configurations, *event.configurations])),
            "looked": state.looked or (state.checkpoint != "A" and bool(event.configurations)),
            "blocked": None,
            "verdict": None,
            "gates": None,
        },
    )


def _attempt_lost(state: RunState, event: AttemptLost) -> RunState:
    _need(state.status == "running", f"attempt_lost at status {state.status}")
    _need(event.attempt == state.attempt, f"attempt {event.attempt} lost while {state.attempt} is the newest")
    # A supervisor that dies between two tries loses no attempt: the one before ended and was counted.
    tries = state.tries + state.attempt_open
    exhausted = tries > state.effective_limits.retries
    blocks = event.blocked is not None
    _need(blocks or not exhausted, "a lost attempt blocks the step when no retry is left")
    return state.model_copy(
        update={
            "status": "blocked" if blocks else "planned",
            "attempt_open": False,
            "tries": tries,
            "failed_as": (*state.failed_as, *(("lost",) if state.attempt_open else ())),
            "failures": state.failures + state.attempt_open,
            "runtime_used_s": state.runtime_used_s + event.elapsed_s,
            "runtime_by_checkpoint": _spent(state, event.elapsed_s),
            "blocked": event.blocked,
        },
    )


def _validated(state: RunState, event: StepValidated) -> RunState:
    _need(state.status in ("executed", "validated"), f"step_validated at status {state.status}")
    _need(event.step == state.step, f"step_validated at {event.step} where {state.step} is the step")
    _need(event.attempt == state.attempt, f"attempt {event.attempt} validated while {state.attempt} is the newest")
    worst = "error" if event.gates.errors else "fail" if event.gates.failed else None
    _need(worst is None or event.verdict in ("fail", "error"), f"verdict {event.verdict} over a failed gate")
    _need(worst is not None or event.verdict != "pass" or event.gates.passed > 0, "a pass without a gate")
    sealed = state.sealed[state.step].model_copy(update={"verdict": event.verdict})
    kept = state.forecast if state.forecast is not None and state.forecast.checkpoint == state.checkpoint else None
    met = {} if event.forecast_met is None else {event.forecast_met.checkpoint: event.forecast_met}
    return state.model_copy(
        update={
            "status": "validated",
            "verdict": event.verdict,
            "gates": event.gates,
            "recommended": event.recommended,
            "recommended_why": event.recommended_why,
            "sealed": state.sealed | {state.step: sealed},
            "forecast": event.forecast or kept,
            "forecasts_met": state.forecasts_met | met,
        },
    )


def _decided(state: RunState, event: Decided) -> RunState:
    _need(not state.finished, f"decided at status {state.status}")
    _need(event.step == state.step, f"decided at {event.step} where {state.step} is the step")
    ends = event.decision == "continue" and state.on_last_step
    _need(
        (event.holdout is not None) == (ends and state.holdout is not None),
        "the lock-box answers once: to the decision that completes a run with a hold-out",
    )
    common: dict[str, object] = {"last_decision": event.call_digest, "recommended": None, "recommended_why": None}
    common |= {"decisions": state.decisions + 1}
    if event.decision == "stop":
        return state.model_copy(update=common | {"status": "stopped"})
    common |= {"tries": 0, "failed_as": (), "blocked": None, "k_by_method": state.k_by_method | event.k_by_method}
    if event.decision == "adjust":
        _need(state.status in ("planned", "validated", "blocked"), f"adjust at status {state.status}")
        newer = Adjustments.model_validate(event.adjustments)
        return state.model_copy(
            update=common
            | {"status": "planned", "verdict": None, "gates": None}
            | {"adjustments": state.adjustments.merged(newer)},
        )
    _need(state.status == "validated" and state.verdict in ("pass", "warn"), "continue needs a verdict of pass or warn")
    return _next_step(state.model_copy(update=common | {"holdout_score": event.holdout}))


def _next_step(state: RunState) -> RunState:
    done = {"last_completed_step": state.step, "verdict": None, "gates": None}
    position = state.position + 1
    if position == len(state.steps):
        return state.model_copy(update=done | {"status": "completed"})
    opens_checkpoint = split_step(state.steps[position])[0] != state.checkpoint
    if opens_checkpoint:
        for step in state.steps[:position]:
            sealed = state.sealed.get(step)
            _need(sealed is not None and sealed.verdict in ("pass", "warn"), f"{step} was not validated without fail")
        if state.forecast_ahead is not None:
            limits = state.effective_limits
            beyond = state.forecast_ahead.beyond(limits.runtime_s - state.runtime_used_s, limits.memory_bytes)
            _need(beyond is None, f"the forecast of {state.steps[position]} exceeds the budget: {beyond}")
    # A new checkpoint chooses K anew: what was chosen on fewer cells does not bind it.
    chosen: dict[str, object] = {"k_by_method": {}, "k_shortlist": {}} if opens_checkpoint else {}
    status = "awaiting_approval" if _needs_approval(state, position) else "planned"
    return state.model_copy(update=done | chosen | {"position": position, "status": status})
