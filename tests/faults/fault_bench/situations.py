"""Situations of a run: where it is, and the call whose every write is to be cut short."""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fault_bench.caller import Call, PreparedCaller
from fault_bench.case import Case
from fault_bench.whole_record import event_counts

from stagewright.state.ledger import Ledger

__all__ = ["SITUATIONS", "Situation", "effect_faults", "lead_to", "make_call", "recover", "settle"]

EXECUTE: Call = ("execute_stage", {"wait_s": 40})
START: Call = ("execute_stage", {"wait_s": 0})
VALIDATE: Call = ("validate_stage", {})
CONTINUE: Call = ("decide", {"decision": "continue", "rationale": "the gates passed"})
STOP: Call = ("decide", {"decision": "stop", "rationale": "enough is known"})
ADJUST: Call = ("decide", {"decision": "adjust", "rationale": "fewer tries", "adjustments": {"retries": 4}})
PROPOSAL: Call = ("decide", {"decision": "adjust", "rationale": "as proposed", "proposal": 0})
APPROVE: Call = ("approve", {})
READ: Call = ("read_state", {})
PLAN: Call = ("plan_run", {})
STEP = (EXECUTE, VALIDATE, CONTINUE)
TRIES = 8


@dataclass(frozen=True)
class Situation:
    """Where a run is, and a call.

    Attributes
    ----------
    call
        The call that is cut short.
    status
        The run's status once the call has had its effect.
    effect
        How many entries of a kind the call adds to the ledger, however often it had to be made.
    stages, approvals
        Of the study.
    before
        The calls that led there; they are made once, the run is then copied for each case.
    killed_before
        Whether every process is killed after those.
    torn
        Whether the logs that the call appends to then end with a write that was cut short.
    beyond
        Another situation: only the points that its call does not have are taken here.
    at_start
        Calls to be made in each case before the call, for what cannot be copied: a running attempt.
    """

    name: str
    call: Call
    status: str
    effect: Mapping[str, int]
    stages: tuple[str, ...] = ("ok",)
    approvals: tuple[str, ...] = ()
    before: tuple[Call, ...] = ()
    killed_before: bool = False
    torn: bool = False
    beyond: str | None = None
    at_start: tuple[Call, ...] = field(default=())


SITUATIONS = [
    Situation("plan", PLAN, "planned", {"run_planned": 1}),
    Situation("execute", EXECUTE, "executed", {"executed": 1}, before=(PLAN,)),
    Situation(
        "execute-retried", EXECUTE, "executed", {"executed": 1}, stages=("flaky",), before=(PLAN,), beyond="execute"
    ),
    Situation(
        "execute-lost",
        EXECUTE,
        "executed",
        {"executed": 1},
        stages=("late",),
        before=(PLAN, START),
        killed_before=True,
        beyond="execute",
    ),
    Situation(
        "execute-again",
        EXECUTE,
        "executed",
        {"executed": 1},
        before=(PLAN, EXECUTE, VALIDATE, ADJUST),
        beyond="execute",
    ),
    Situation(
        "execute-blocked", EXECUTE, "blocked", {"executed": 0}, stages=("crashes",), before=(PLAN,), beyond="execute"
    ),
    Situation("validate", VALIDATE, "validated", {"step_validated": 1}, before=(PLAN, EXECUTE)),
    Situation(
        "continue",
        CONTINUE,
        "awaiting_approval",
        {"decided": 1},
        approvals=("B",),
        before=(PLAN, EXECUTE, VALIDATE),
    ),
    Situation("approve", APPROVE, "planned", {"approved": 1}, approvals=("B",), before=(PLAN, *STEP)),
    Situation("adjust", ADJUST, "planned", {"decided": 1}, before=(PLAN, EXECUTE, VALIDATE)),
    Situation("proposal", PROPOSAL, "planned", {"decided": 1}, stages=("crashes",), before=(PLAN, EXECUTE)),
    Situation("stop", STOP, "stopped", {"decided": 1}, before=(PLAN, EXECUTE, VALIDATE)),
    Situation(
        "stop-running",
        STOP,
        "stopped",
        {"decided": 1},
        stages=("sleeps",),
        before=(PLAN,),
        at_start=(START,),
        beyond="execute",
    ),
    Situation("complete", CONTINUE, "completed", {"decided": 1}, before=(PLAN, *STEP, *STEP, EXECUTE, VALIDATE)),
    Situation("torn", CONTINUE, "planned", {"decided": 1}, before=(PLAN, EXECUTE, VALIDATE), torn=True),
    Situation("read", READ, "planned", {"run_planned": 0}, before=(PLAN,)),
]


def lead_to(situation: Situation, case: Case, caller: PreparedCaller, spec: Mapping[str, Any]) -> None:
    """Bring a fresh case to a situation."""
    for call in situation.before:
        answers = caller.make(case, [_named(call, case, spec)])
        assert answers is not None
        assert "refused" not in answers[0], answers[0]
    if situation.killed_before:
        _wait_for(case.root / "ran.txt")
        for process in case.processes():
            process.kill()
    assert case.processes_left() == []
    if situation.torn:
        for name in ("agent_run", "decision", "tool_calls"):  # those that the call appends to
            with case.run.log(name).open("ab") as file:
                file.write(b'{"at": "2026-11-22T13:41:56.120Z", "seq": 9')


def make_call(
    situation: Situation, case: Case, caller: PreparedCaller, spec: Mapping[str, Any], plan: Path | None
) -> dict[str, Any] | None:
    """Make the situation's call under a plan, and before it, in the case itself, what cannot be copied.

    Returns what came of it, or None if the caller was killed.
    """
    for call in situation.at_start:
        caller.make(case, [_named(call, case, spec)], plan, arm=False)
        _wait_for(case.root / "ran.txt", unless=case)
    answers = caller.make(case, [_named(situation.call, case, spec)], plan)
    return None if answers is None else answers[0]


def recover(situation: Situation, case: Case, caller: PreparedCaller, spec: Mapping[str, Any]) -> list[str]:
    """Make the same call again until it has had its effect; return in words what it did not do."""
    said: list[str] = []
    for _ in range(TRIES):
        answers = caller.make(case, [_named(situation.call, case, spec)])
        assert answers is not None
        said.append(str(answers[0].get("message", answers[0].get("summary"))))
        if case.runs and Ledger(case.run).fold().status == situation.status:
            return []
    return [f"the call made {TRIES} times more did not lead to {situation.status}: {said[-1]}"]


def effect_faults(situation: Situation, case: Case, before: Counter[str]) -> list[str]:
    """Return in words where the ledger gained more or fewer entries than the call adds."""
    if len(case.runs) != 1:
        return [f"there are {len(case.runs)} runs under the root"]
    gained = event_counts(case.run) - before
    return [
        f"the call added {gained[kind]} x {kind} to the ledger, not {count}"
        for kind, count in situation.effect.items()
        if gained[kind] != count
    ]


def settle(case: Case, caller: PreparedCaller) -> None:
    """Make one more transition, if there can be one: what follows the ledger is then up to it again."""
    if not Ledger(case.run).fold().finished:
        arguments = {"run_id": case.run.run_id, "decision": "stop", "rationale": "the case is at its end"}
        answers = caller.make(case, [("decide", arguments)])
        assert answers is not None
        assert "refused" not in answers[0], answers[0]


def _named(call: Call, case: Case, spec: Mapping[str, Any]) -> Call:
    tool, arguments = call
    if tool == "plan_run":
        return tool, {"spec": dict(spec)}
    return tool, {"run_id": case.run.run_id, **arguments}


def _wait_for(path: Path, *, unless: Case | None = None) -> None:
    """Wait until a file is there, or until no process of a case is left that could make it."""
    deadline = time.monotonic() + 20
    while not path.exists() and time.monotonic() < deadline:
        if unless is not None and not unless.processes():
            return
        time.sleep(0.02)
