"""The law of the machine, against a table that was written by hand from the contract."""

from collections.abc import Callable

import pytest

from stagewright.state.events import Event
from stagewright.state.run_state import RunState, next_call
from stagewright.state.transitions import ImpossibleTransition, advance, fold

Make = Callable[..., Event]

BLOCKED: dict[str, object] = {"blocked": {"error": "it was lost"}}
ONE: dict[str, list[tuple[str, dict[str, object]]]] = {
    # The shortest way to each status; retries is 1.
    "none": [],
    "planned": [("run_planned", {})],
    "awaiting_approval": [("run_planned", {"approvals": ["A"]})],
}
ONE["running"] = [*ONE["planned"], ("attempt_started", {"attempt": 1})]
ONE["between_tries"] = [*ONE["running"], ("attempt_finished", {"attempt": 1, "outcome": "failed", "will_retry": True})]
ONE["executed"] = [*ONE["running"], ("attempt_finished", {"attempt": 1, "outcome": "executed"})]
ONE["blocked"] = [*ONE["running"], ("attempt_finished", {"attempt": 1, "outcome": "failed"})]
for word in ("pass", "warn", "fail", "error"):
    ONE[word] = [*ONE["executed"], ("step_validated", {"attempt": 1, "verdict": word})]
ONE["stopped"] = [*ONE["planned"], ("decided", {"decision": "stop"})]
ONE["stopped_running"] = [*ONE["running"], ("decided", {"decision": "stop"})]
ONE["completed"] = [
    ("run_planned", {"steps": ["A/one"]}),
    *ONE["pass"][1:],
    ("decided", {"decision": "continue"}),
]

EVENTS: dict[str, tuple[str, dict[str, object]]] = {
    "planned": ("run_planned", {}),
    "started 1": ("attempt_started", {"attempt": 1}),
    "started 2": ("attempt_started", {"attempt": 2}),
    "started 3": ("attempt_started", {"attempt": 3}),
    "executed 1": ("attempt_finished", {"attempt": 1, "outcome": "executed"}),
    "failed 1, retrying": ("attempt_finished", {"attempt": 1, "outcome": "failed", "will_retry": True}),
    "failed 1, blocking": ("attempt_finished", {"attempt": 1, "outcome": "failed"}),
    "cancelled 1": ("attempt_finished", {"attempt": 1, "outcome": "cancelled"}),
    "lost 1": ("attempt_lost", {"attempt": 1}),
    "lost 1, blocking": ("attempt_lost", {"attempt": 1} | BLOCKED),
    "blocked": ("step_blocked", {}),
    "validated pass": ("step_validated", {"attempt": 1, "verdict": "pass"}),
    "validated fail": ("step_validated", {"attempt": 1, "verdict": "fail"}),
    "continue": ("decided", {"decision": "continue"}),
    "adjust": ("decided", {"decision": "adjust", "adjustments": {"k": [10]}}),
    "stop": ("decided", {"decision": "stop"}),
    "approved A": ("approved", {"checkpoint": "A"}),
    "approved B": ("approved", {"checkpoint": "B"}),
    "torn tail": ("torn_tail_moved", {}),
}

ALWAYS = {"stop": "stopped", "torn tail": None}  # None: the status stays
AGAIN = {"validated pass": "validated", "validated fail": "validated"}
TABLE: dict[str, dict[str, str | None]] = {
    "none": {"planned": "planned"},
    "planned": {"started 1": "running", "adjust": "planned", "blocked": "blocked"} | ALWAYS,
    "awaiting_approval": {"approved A": "planned"} | ALWAYS,
    "running": {
        "executed 1": "executed",
        "failed 1, retrying": "running",
        "failed 1, blocking": "blocked",
        "lost 1": "planned",
        "lost 1, blocking": "blocked",  # fewer retries than the spec's, where the operator's cap is lower
    }
    | ALWAYS,
    "between_tries": {"started 2": "running", "lost 1": "planned", "lost 1, blocking": "blocked"} | ALWAYS,
    "executed": AGAIN | ALWAYS,
    "blocked": {"adjust": "planned"} | ALWAYS,
    "pass": {"continue": "planned", "adjust": "planned"} | AGAIN | ALWAYS,
    "warn": {"continue": "planned", "adjust": "planned"} | AGAIN | ALWAYS,
    "fail": {"adjust": "planned"} | AGAIN | ALWAYS,
    "error": {"adjust": "planned"} | AGAIN | ALWAYS,
    "completed": {"torn tail": None},
    "stopped": {"torn tail": None},
    "stopped_running": {"cancelled 1": "stopped", "torn tail": None},
}


def brought_to(make: Make, status: str) -> RunState | None:
    """Return the state at a status, reached the shortest way."""
    events = [make(kind, **fields) for kind, fields in ONE[status]]
    return fold(events) if events else None


@pytest.mark.parametrize("happening", EVENTS)
@pytest.mark.parametrize("status", ONE)
def test_the_table(event: Make, status: str, happening: str) -> None:
    """Every event at every status is either a row of the table or impossible."""
    before = brought_to(event, status)
    kind, fields = EVENTS[happening]
    if happening in TABLE[status]:
        after = advance(before, event(kind, **fields))
        expected = TABLE[status][happening]
        assert after.status == (expected or (before.status if before else None))
    else:
        with pytest.raises(ImpossibleTransition):
            advance(before, event(kind, **fields))


def test_the_table_is_the_contracts(event: Make) -> None:
    """What a table row allows is what `next_call` and the contract's section 3 name."""
    next_tools = {status: next_call(state).tool for status in ONE if (state := brought_to(event, status)) is not None}
    assert next_tools == {
        "planned": "execute_stage",
        "awaiting_approval": "read_state",
        "running": "execute_stage",
        "between_tries": "execute_stage",
        "executed": "validate_stage",
        "blocked": "decide",
        "pass": "decide",
        "warn": "decide",
        "fail": "decide",
        "error": "decide",
        "completed": "read_state",
        "stopped": "read_state",
        "stopped_running": "read_state",
    }


def test_an_empty_ledger_is_no_run() -> None:
    """A run begins with its plan."""
    with pytest.raises(ImpossibleTransition):
        fold([])


@pytest.mark.parametrize(
    ("status", "kind", "fields"),
    [
        ("planned", "attempt_started", {"attempt": 1, "step": "A/two"}),
        ("planned", "attempt_started", {"attempt": 2}),
        ("running", "attempt_finished", {"attempt": 1, "outcome": "executed", "artifacts": None}),
        ("running", "attempt_finished", {"attempt": 1, "outcome": "failed", "blocked": None}),
        ("running", "attempt_finished", {"attempt": 1, "outcome": "executed", "step": "A/two"}),
        ("executed", "step_validated", {"attempt": 2, "verdict": "pass"}),
        ("executed", "step_validated", {"attempt": 1, "verdict": "pass", "step": "A/two"}),
        ("executed", "step_validated", {"attempt": 1, "verdict": "pass", "gates": {"passed": 0}}),
        ("executed", "step_validated", {"attempt": 1, "verdict": "pass", "gates": {"passed": 3, "failed": 1}}),
        ("executed", "step_validated", {"attempt": 1, "verdict": "warn", "gates": {"passed": 3, "errors": 1}}),
        ("pass", "decided", {"decision": "continue", "step": "A/two"}),
        ("planned", "run_planned", {}),
        ("none", "run_planned", {"steps": []}),
    ],
)
def test_an_event_about_something_else_is_impossible(
    event: Make, status: str, kind: str, fields: dict[str, object]
) -> None:
    """The step, the attempt and the evidence have to be those of the state."""
    if "gates" in fields:
        fields = fields | {"gates": {"warned": 0, "failed": 0, "errors": 0} | dict(fields["gates"])}  # type: ignore[call-overload]  # a dict, above
    with pytest.raises(ImpossibleTransition):
        advance(brought_to(event, status), event(kind, **fields))


def test_a_retry_beyond_the_bound_is_impossible(event: Make) -> None:
    """With one retry, the second failure ends the step."""
    again = [("attempt_started", {"attempt": 2})]
    state = fold([event(kind, **fields) for kind, fields in [*ONE["between_tries"], *again]])
    assert (state.tries, state.attempt) == (1, 2)
    with pytest.raises(ImpossibleTransition, match="beyond the bound"):
        advance(state, event("attempt_finished", attempt=2, outcome="failed", will_retry=True))
    blocked = advance(state, event("attempt_finished", attempt=2, outcome="failed"))
    assert (blocked.status, blocked.tries, blocked.failures) == ("blocked", 2, 2)


def test_a_lost_attempt_counts_once(event: Make) -> None:
    """One that was running counts as a failed try; one that had ended already, before its supervisor died, does not."""
    lost = advance(brought_to(event, "running"), event("attempt_lost", attempt=1))
    assert (lost.status, lost.tries, lost.failures, lost.runtime_used_s) == ("planned", 1, 1, 2.0)
    between = advance(brought_to(event, "between_tries"), event("attempt_lost", attempt=1, elapsed_s=0.0))
    assert (between.status, between.tries, between.failures, between.runtime_used_s) == ("planned", 1, 1, 1.0)


def test_an_adjustment_gives_the_step_its_tries_back(event: Make) -> None:
    """The bound is on tries of one effective spec; what was used of the run's time stays used."""
    state = advance(brought_to(event, "blocked"), event("decided", decision="adjust", adjustments={"seeds": [1]}))
    assert (state.tries, state.failures, state.runtime_used_s, state.blocked) == (0, 1, 1.0, None)
    assert state.adjustments.seeds == (1,)


def test_a_checkpoint_opens_when_every_step_was_validated_without_fail(event: Make) -> None:
    """K that was chosen on fewer cells does not bind the next checkpoint; approvals hold it back."""
    steps: list[Event] = [event("run_planned", approvals=["B"])]
    for attempt, step in enumerate(("A/one", "A/two"), start=1):
        steps += [
            event("attempt_started", attempt=attempt, step=step),
            event("attempt_finished", attempt=attempt, step=step, outcome="executed", k_by_method={"fa": 10}),
            event("step_validated", attempt=attempt, step=step, verdict="warn"),
            event("decided", step=step),
        ]
    before, after = fold(steps[:-1]), fold(steps)
    assert before.k_by_method == {"fa": 10}
    assert (after.status, after.step, after.last_completed_step) == ("awaiting_approval", "B/one", "A/two")
    assert after.k_by_method == {}
    assert advance(after, event("approved", checkpoint="B", step="B/one")).status == "planned"


def test_a_later_failure_of_an_earlier_step_keeps_the_checkpoint_shut(event: Make) -> None:
    """The verdict that counts is the last one of each step."""
    state = brought_to(event, "pass")
    assert state is not None
    sealed = state.sealed["A/one"].model_copy(update={"verdict": "fail"})
    forged = state.model_copy(update={"steps": ("A/zero", "A/one", "B/zero"), "position": 1})
    forged = forged.model_copy(update={"sealed": {"A/zero": sealed, "A/one": state.sealed["A/one"]}})
    with pytest.raises(ImpossibleTransition, match="A/zero was not validated without fail"):
        advance(forged, event("decided"))


def test_pilot_scores_are_looked_at_once_they_exist(event: Make) -> None:
    """Scores of the smoke run mean nothing; the first scores of B or C are the first look."""
    scored = {"attempt": 1, "outcome": "executed", "configurations": ["hvg/fa/k_10"]}
    smoke = advance(brought_to(event, "running"), event("attempt_finished", **scored))
    assert (smoke.looked, smoke.configurations) == (False, ("hvg/fa/k_10",))
    events = [event("run_planned", steps=["B/one"]), event("attempt_started", attempt=1, step="B/one")]
    pilot = advance(fold(events), event("attempt_finished", step="B/one", **scored))
    assert pilot.looked


def test_an_adjustment_puts_the_verdict_aside(event: Make) -> None:
    """What was judged before an adjustment says nothing about the attempt that follows it."""
    executed = advance(brought_to(event, "running"), event("attempt_finished", attempt=1, outcome="executed"))
    judged = advance(executed, event("step_validated", attempt=1, verdict="fail"))
    opened = advance(judged, event("decided", decision="adjust"))
    assert (judged.verdict, opened.verdict, opened.gates, opened.status) == ("fail", None, None, "planned")


def test_the_end_of_a_cancelled_attempt_is_not_another_decision(event: Make) -> None:
    """A stop that is given twice is recorded once, also when its attempt has ended in between."""
    stopped = advance(brought_to(event, "running"), event("decided", decision="stop"))
    ended = advance(stopped, event("attempt_finished", attempt=1, outcome="cancelled"))
    assert stopped.last_decision is not None
    assert ended.last_decision == stopped.last_decision


def test_a_stage_that_chooses_k_chooses_anew(event: Make) -> None:
    """What it chose for a method that was left out since cannot be brought back: no verdict stands behind it."""
    one = {"attempt": 1, "outcome": "executed", "k_by_method": {"pca": 5, "fa": 10}, "k_shortlist": {"fa": [10]}}
    two = {"attempt": 2, "outcome": "executed", "k_by_method": {"pca": 5}, "k_shortlist": {"pca": [5]}}
    state = fold(
        [
            event("run_planned"),
            event("attempt_started", attempt=1),
            event("attempt_finished", **one),
            event("step_validated", attempt=1, verdict="fail"),
            event("decided", decision="adjust", adjustments={"methods": ["pca"]}),
            event("attempt_started", attempt=2),
            event("attempt_finished", **two),
        ],
    )
    assert (state.k_by_method, state.k_shortlist) == ({"pca": 5}, {"pca": (5,)})


def test_a_run_with_a_hold_out_is_told_of_it_once(event: Make) -> None:
    """By the decision that completes it, and by no other; without that answer it does not complete."""
    sealed = {"working": ["p1"], "n_patients": 2, "n_both": 2, "n_cells": 9, "commitment": "0" * 64, "queries": 3}
    score = {"outcome": "scored", "auc": 0.6, "configuration": "x", "query": 1, "queries": 3}
    steps = ["A/one", "A/two"]

    def at(step: str, attempt: int, *before: Event) -> list[Event]:
        return [
            *before,
            event("attempt_started", step=step, attempt=attempt),
            event("attempt_finished", step=step, attempt=attempt, outcome="executed"),
            event("step_validated", step=step, attempt=attempt, verdict="pass"),
        ]

    first = at("A/one", 1, event("run_planned", steps=steps, holdout=sealed))
    with pytest.raises(ImpossibleTransition, match="the lock-box answers once"):
        fold([*first, event("decided", step="A/one", holdout=score)])
    last = at("A/two", 2, *first, event("decided", step="A/one"))
    with pytest.raises(ImpossibleTransition, match="the lock-box answers once"):
        fold([*last, event("decided", step="A/two")])
    ended = fold([*last, event("decided", step="A/two", holdout=score)])
    assert ended.status == "completed"
    assert ended.holdout_score is not None
    assert ended.holdout_score.auc == 0.6
    assert fold([*last, event("decided", step="A/two", decision="stop")]).holdout_score is None
    without = at("A/two", 2, *at("A/one", 1, event("run_planned", steps=steps)), event("decided", step="A/one"))
    with pytest.raises(ImpossibleTransition, match="the lock-box answers once"):
        fold([*without, event("decided", step="A/two", holdout=score)])
