"""Run the gates of an executed step on its sealed artifacts and record the verdict."""

import time
from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from stagewright.gates.protocol import Finding, GateReport, GateRequest
from stagewright.gates.verdict import tally
from stagewright.state.events import StepValidated
from stagewright.state.ledger import Ledger
from stagewright.state.refresh_manifest import refresh_manifest
from stagewright.state.run_state import RunState, next_call, split_step
from stagewright.state.stop_criteria import recommend
from stagewright.state.units import format_seconds
from stagewright.tools.budget import budget_of
from stagewright.tools.children import ChildFailed
from stagewright.tools.decision_rules import beyond_budget
from stagewright.tools.forecasting import forecast_ahead, forecast_met
from stagewright.tools.gate_request import gate_request
from stagewright.tools.gates_of_run import names_of_judges
from stagewright.tools.replies import Tick, ValidateReply
from stagewright.tools.step_requests import sealed_spec
from stagewright.tools.workspace import Workspace, not_allowed

__all__ = ["validate_stage"]

TIMEOUT_S = 1800.0
CHILDREN = 3
"""How many are asked when they are killed one after the other, for want of memory perhaps."""

SHOWN_METRICS = 10


def validate_stage(
    workspace: Workspace,
    run_id: Annotated[str, Field(description="From plan_run or read_state; a unique prefix will do")],
    *,
    again: Annotated[bool, Field(description="Run the gates of a validated step once more")] = False,
) -> Iterator[Tick | ValidateReply]:
    """Run every gate of the executed step in a child process and commit the verdict.

    A step that was validated already is answered from the record, unless `again` asks for a new judgement.

    Parameters
    ----------
    run_id
        The run.
    again
        Judge a validated step anew, for example after a damaged file was restored.

    Yields
    ------
    Signs of life while the gates run, then a `ValidateReply`.

    Raises
    ------
    Refusal
        `not_allowed_now` when no executed step waits for its gates; `run_locked`; `unknown_run`.
    """
    ledger = workspace.ledger(run_id)
    with ledger.transition() as transition:
        state = transition.state
    if state.status == "validated" and not again:
        yield _reply(workspace, state, "as recorded; pass again=true to run the gates again")
        return
    if state.status not in ("executed", "validated"):
        raise not_allowed(state, _why_not(state))
    started = time.monotonic()
    findings: tuple[Finding, ...] = ()
    for item in _judged(workspace, gate_request(ledger.run, state, workspace.policy.gates)):
        if isinstance(item, Tick):
            yield item.model_copy(update={"message": f"the gates of {state.step} are at work"})
        else:
            findings = item
    yield _commit(workspace, ledger, state, findings, time.monotonic() - started, again=again)


def _judged(workspace: Workspace, question: GateRequest) -> Iterator[Tick | tuple[Finding, ...]]:
    """Ask the gates' child and yield signs of life, then its findings.

    A child that somebody killed has not judged, so another is asked: an error is a verdict, and goes into the record.
    """
    for left in reversed(range(CHILDREN)):
        try:
            for item in workspace.children.ask("stagewright.gates", None, question, GateReport, TIMEOUT_S):
                yield item.findings if isinstance(item, GateReport) else item
        except ChildFailed as error:
            if not error.killed or not left:
                yield (_could_not_judge(str(error)),)
                return
        else:
            return


def _why_not(state: RunState) -> str:
    if state.status in ("planned", "running", "blocked", "awaiting_approval"):
        return f"{state.step} has not been executed ({state.status}), so there is nothing to judge."
    return f"the run is {state.status}; its record is closed."


def _could_not_judge(text: str) -> Finding:
    return Finding(
        gate="gates",
        subject="the gates' process",
        severity="error",
        measured=text[-600:],
        threshold="every gate answers",
        reason="a step that could not be judged does not pass; mend what the text names and validate again",
    )


def _commit(
    workspace: Workspace,
    ledger: Ledger,
    judged: RunState,
    findings: tuple[Finding, ...],
    elapsed_s: float,
    *,
    again: bool,
) -> ValidateReply:
    with ledger.transition() as transition:
        state = transition.state
        if state.status == "validated" and state.attempt == judged.attempt and not again:
            return _reply(workspace, state, "as recorded by another call at the same time")
        if (state.status, state.attempt) != (judged.status, judged.attempt):
            raise not_allowed(
                state, f"the run moved on to {state.status} while the gates ran; their findings are void."
            )
        verdict, counted = tally(findings, n_gates=len(names_of_judges(state)))
        spec = sealed_spec(ledger.run, state)
        recommended, why = recommend(
            spec.stop,
            _metrics(state),
            verdict,
            checkpoint=state.checkpoint,
            last_step=state.position + 1 == len(state.steps),
        )
        ahead = forecast_ahead(workspace, ledger, state, spec) if verdict in ("pass", "warn") else None
        met = forecast_met(state)
        if recommended == "continue" and (beyond := beyond_budget(workspace, state, ahead)) is not None:
            recommended, why = "adjust", beyond
        for finding in findings:
            transition.detail(
                "validation",
                finding.model_dump(mode="json")
                | {
                    "step": state.step,
                    "event": "finding",
                    "message": f"{finding.severity}: {finding.gate}: {finding.subject}: {finding.measured}",
                    "attempt": state.attempt,
                },
            )
        counts = f"{counted.passed} passed, {counted.warned} warned, {counted.failed} failed, {counted.errors} errors"
        said = [*([] if met is None else [met.said()]), *([] if ahead is None else [f"forecast of {ahead.said()}"])]
        after = transition.commit(
            StepValidated(
                message="; ".join(
                    [f"{state.step} validated: {verdict} ({counts}) in {format_seconds(elapsed_s)}", *said]
                ),
                step=state.step,
                actor=workspace.actor,
                attempt=state.attempt,
                verdict=verdict,
                gates=counted,
                recommended=recommended,
                recommended_why=why,
                elapsed_s=round(elapsed_s, 3),
                forecast=ahead,
                forecast_met=met,
            ),
        )
        refresh_manifest(ledger.run, after)
    return _reply(workspace, after, counts)


def _metrics(state: RunState) -> dict[str, float]:
    """Return every metric of the present checkpoint so far."""
    merged: dict[str, float] = {}
    for step, sealed in state.sealed.items():
        if split_step(step)[0] == state.checkpoint:
            merged |= sealed.metrics
    return merged


def _reply(workspace: Workspace, state: RunState, how: str) -> ValidateReply:
    gates, verdict = state.gates, state.verdict
    if gates is None or verdict is None:
        raise not_allowed(state, f"{state.step} has no verdict.")
    metrics = state.sealed[state.step].metrics
    best = {name: round(value, 4) for name, value in metrics.items() if ".best." in name}
    return ValidateReply(
        run_id=state.run_id,
        step=state.step,
        status=state.status,
        summary=f"{state.step}: verdict {verdict} ({how}).",
        next=next_call(state),
        attempt=state.attempt,
        verdict=verdict,
        passed=gates.passed,
        warned=gates.warned,
        failed=gates.failed,
        errors=gates.errors,
        worst=[*gates.worst],
        forecast=None if state.forecast_ahead is None else state.forecast_ahead.said(),
        forecast_met=state.forecasts_met[state.checkpoint].said() if state.checkpoint in state.forecasts_met else None,
        would_pass=gates.would_pass,
        recommended=state.recommended or "stop",
        recommended_why=state.recommended_why or "",
        metrics=dict(list(best.items())[:SHOWN_METRICS]),
        budget=budget_of(workspace, state),
    )
