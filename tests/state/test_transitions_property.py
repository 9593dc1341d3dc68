"""Any legal history folds, and no history breaks what always holds."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from stagewright.state.events import Event, parse_event
from stagewright.state.run_state import RunState
from stagewright.state.transitions import ImpossibleTransition, advance

DIGEST = "0" * 64
SEAL = {"outcome": "o", "outcome_sha256": DIGEST, "count": 1, "bytes": 5}
STEPS = ("A/one", "A/two", "B/one", "B/two")
RETRIES = 2


def proposed(state: RunState, kind: str, choice: int) -> Event:
    """Return an event of a kind about the present step and attempt, whether or not it is allowed now."""
    common: dict[str, Any] = {"event": kind, "message": kind, "step": state.step}
    verdict = ("pass", "warn", "fail", "error")[choice % 4]
    counts = {"passed": 1, "warned": verdict == "warn", "failed": verdict == "fail", "errors": verdict == "error"}
    retry = choice % 2 == 0
    ended = ("executed", "failed", "cancelled")[choice % 3]
    blocked = {"error": "x"}
    fields: dict[str, dict[str, Any]] = {
        "attempt_started": {
            "attempt": state.attempt + 1,
            "directory": "d",
            "command": ["c"],
            "request_sha256": DIGEST,
        },
        "attempt_finished": {
            "attempt": state.attempt,
            "outcome": ended,
            "elapsed_s": 1.0,
            "peak_rss_bytes": choice,
            "artifacts": SEAL if ended == "executed" else None,
            "will_retry": ended == "failed" and retry,
            "blocked": blocked if ended == "failed" and not retry else None,
        },
        "attempt_lost": {"attempt": state.attempt, "blocked": blocked if retry else None},
        "step_blocked": {"blocked": blocked},
        "step_validated": {
            "attempt": state.attempt,
            "verdict": verdict,
            "gates": {name: int(count) for name, count in counts.items()},
            "recommended": "continue",
            "recommended_why": "x",
            "elapsed_s": 1.0,
        },
        "decided": {
            "decision": ("continue", "continue", "adjust", "stop")[choice % 4],
            "rationale": "x",
            "call_digest": f"{choice:064x}",
            "before_first_look": True,
        },
        "approved": {"checkpoint": state.checkpoint, "reason": "x"},
        "torn_tail_moved": {"bytes": 1},
    }
    return parse_event(common | {key: value for key, value in fields[kind].items() if value is not None})


KINDS = st.sampled_from(
    [
        "attempt_started",
        "attempt_finished",
        "attempt_lost",
        "step_validated",
        "decided",
        "approved",
        "step_blocked",
        "torn_tail_moved",
    ],
)


@settings(max_examples=150)
@given(st.lists(st.tuples(KINDS, st.integers(0, 11)), max_size=80), st.booleans())
def test_what_always_holds(history: list[tuple[str, int]], approve: bool) -> None:  # noqa: FBT001 - drawn by hypothesis
    """Histories of allowed events, drawn at random: the refused ones leave the state as it was."""
    planned = parse_event(
        {
            "event": "run_planned",
            "message": "x",
            "run_id": "r",
            "objective": "x",
            "steps": [*STEPS],
            "spec_sha256": DIGEST,
            "spec_digest": DIGEST,
            "data": {"path": "a", "bytes": 1, "sha256": DIGEST},
            "limits": {"runtime_s": 1.0, "memory_bytes": 1, "retries": RETRIES},
            "approvals": ["B"] if approve else [],
        },
    )
    state = advance(None, planned)
    begun = ended = 0
    for kind, choice in history:
        event = proposed(state, kind, choice)
        try:
            after = advance(state, event)
        except ImpossibleTransition:
            continue
        begun += kind == "attempt_started"
        ended += kind == "attempt_finished" or (kind == "attempt_lost" and state.attempt_open)
        check(state, after, kind)
        state = after
        assert (state.attempt, state.attempt_open) == (begun, begun == ended + 1)
        # What the fold says survives being written as the snapshot writes it.
        assert RunState.model_validate(state.model_dump(mode="json")) == state


def check(before: RunState, after: RunState, kind: str) -> None:
    """Assert what one transition may do."""
    assert not before.finished or kind in ("attempt_finished", "torn_tail_moved")
    assert not before.finished or after.status == before.status
    assert after.position - before.position in (0, 1)
    if after.position > before.position:
        assert (kind, before.status) == ("decided", "validated")
        assert before.verdict in ("pass", "warn")
    if after.status == "completed":
        assert all(after.sealed[step].verdict in ("pass", "warn") for step in STEPS)
    if after.checkpoint == "B" and before.checkpoint == "A":
        assert all(after.sealed[step].verdict in ("pass", "warn") for step in ("A/one", "A/two"))
        assert after.status == ("awaiting_approval" if after.approvals else "planned")
    assert after.tries <= RETRIES + 1
    assert after.tries <= RETRIES or after.status in ("blocked", "stopped")
    assert after.attempt - before.attempt == (kind == "attempt_started")
    assert (after.status == "validated") <= (after.verdict is not None)
    assert after.runtime_used_s >= before.runtime_used_s
