"""Ask the lock-box for the score of the sealed hold-out, when a decision is about to complete a run."""

from collections.abc import Iterator

from stagewright.state.holdout import HoldoutScore
from stagewright.state.holdout_query import HoldoutAnswer, HoldoutQuestion
from stagewright.state.ledger import Ledger
from stagewright.state.refusals import Refusal
from stagewright.state.run_state import RunState
from stagewright.state.spec import GoalSpec
from stagewright.tools.budget import limits_left
from stagewright.tools.children import ChildFailed
from stagewright.tools.replies import Tick
from stagewright.tools.step_requests import request_for, sealed_spec
from stagewright.tools.workspace import Workspace

__all__ = ["ask_lockbox", "ends_with_holdout"]

LEAST_S = 600.0
"""A run whose budget went into its steps is owed its score all the same."""
SCORED = ("plan1c", "plan1b")
"""Whose best configuration is meant: the benchmark's, where there is one."""


def ends_with_holdout(state: RunState) -> bool:
    """Return whether `continue` would complete a run that has a sealed hold-out."""
    return state.status == "validated" and state.on_last_step and state.holdout is not None


def ask_lockbox(workspace: Workspace, ledger: Ledger, state: RunState) -> Iterator[Tick | HoldoutScore]:
    """Start the lock-box' process and yield signs of life, then the score.

    The question is counted before anything is computed. Asked again for the same run and configuration, after a kill
    or a lost connection, it is not counted again.

    Raises
    ------
    Refusal
        `unavailable` when the lock-box cannot answer now, with the reason; nothing is decided then.
    """
    question = _question(workspace, ledger, state, sealed_spec(ledger.run, state))
    timeout_s = max(LEAST_S, question.request.limits.runtime_s)
    answer: HoldoutAnswer | None = None
    try:
        for item in workspace.children.ask("stagewright.stages", "holdout", question, HoldoutAnswer, timeout_s):
            if isinstance(item, Tick):
                yield item.model_copy(update={"message": "the lock-box scores the hold-out"})
            else:
                answer = item
    except ChildFailed as error:
        raise _unanswered(state, error.last_line) from error
    if answer is None or answer.score is None:
        raise _unanswered(state, (answer and answer.fault) or "no answer")
    yield answer.score


def _question(workspace: Workspace, ledger: Ledger, state: RunState, spec: GoalSpec) -> HoldoutQuestion:
    scored = next(f"{state.checkpoint}/{stage}" for stage in SCORED if stage in spec.stages)
    if state.holdout is None:
        raise ValueError(f"{state.run_id} has no hold-out")
    left = limits_left(workspace, state)
    return HoldoutQuestion(
        lockbox=str(workspace.lockbox.folder),
        run=str(ledger.run.path),
        seal=state.holdout,
        request=request_for(workspace, ledger.run, state, left),
        scope=spec.data,
        scored=scored,
        artifacts=state.sealed[scored].artifacts,
    )


def _unanswered(state: RunState, why: str) -> Refusal:
    return Refusal(
        "unavailable",
        f"the hold-out could not be scored: {why}. Nothing was decided. Mend that and make the same call again: a "
        "query that was counted is not counted twice for one run; or decide(stop).",
        status=f"{state.status} at {state.step}",
        run_id=state.run_id,
    )
