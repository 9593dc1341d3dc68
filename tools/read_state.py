"""Read a run, or list the runs: what is where, what was measured, what was decided, and what comes next."""

import json
import time
from collections.abc import Iterator
from itertools import accumulate
from typing import Annotated

from pydantic import Field, JsonValue

from stagewright.state.ledger import Ledger
from stagewright.state.refusals import NextCall, Refusal
from stagewright.state.run_state import RunState, next_call
from stagewright.tools.attempt_view import after_loss, is_lost, look_at_attempt
from stagewright.tools.budget import budget_of
from stagewright.tools.replies import ReadReply, Tick
from stagewright.tools.views import View, list_of_runs, view_items
from stagewright.tools.workspace import Workspace

__all__ = ["read_state"]

DEFAULT_LIMIT = 10
MAX_LIMIT = 200
ITEMS_BYTES = 2800
MAX_WAIT_S = 3600.0
MAX_CURSOR_DIGITS = 15


def read_state(
    workspace: Workspace,
    run_id: Annotated[str | None, Field(description="Leave out to list the runs")] = None,
    *,
    view: View = "summary",
    cursor: Annotated[str | None, Field(description="next_cursor of the page before")] = None,
    limit: Annotated[
        int, Field(ge=1, le=MAX_LIMIT, description="Items on a page; above 10, however long they are")
    ] = DEFAULT_LIMIT,
    wait_s: Annotated[
        float,
        Field(ge=0, le=MAX_WAIT_S, description="Wait so many seconds for something to change"),
    ] = 0.0,
) -> Iterator[Tick | ReadReply]:
    """Return one view of a run, a page at a time; without a run, the runs. Changes nothing.

    Parameters
    ----------
    view
        summary, runs, logs, metrics, artifacts, gates, spec or trials.
    cursor
        `next_cursor` of the page before.
    limit
        Items on a page, at most 200. Up to 10, a page also ends where an ordinary reply would grow too long.
    wait_s
        Wait for at most this many seconds until the run's ledger grows or its running attempt ends.

    Yields
    ------
    Signs of life while it waits, then a `ReadReply`.

    Raises
    ------
    Refusal
        `invalid_argument` for a bad cursor; `unknown_run`.
    """
    start = _offset(cursor)
    if run_id is None or view == "runs":
        yield _runs(workspace, start, limit)
        return
    ledger = workspace.ledger(run_id)
    yield from _until_changed(ledger, wait_s)
    state = ledger.read()
    items, total = view_items(ledger, state, view, start, limit)
    if limit <= DEFAULT_LIMIT:
        items = _fitting(items)
    more = str(start + len(items)) if start + len(items) < total else None
    shown = f"{view}: {len(items)} of {total}" + (f" from {start}" if start else "")
    yield ReadReply(
        run_id=state.run_id,
        step=state.step,
        status=state.status,
        summary=f"{_where(ledger, state)} {shown}.",
        next=_following(ledger, state, view, more),
        view=view,
        items=items,
        next_cursor=more,
        budget=budget_of(workspace, state) if view == "summary" else None,
    )


def _offset(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not cursor.isascii() or not cursor.isdigit() or len(cursor) > MAX_CURSOR_DIGITS:
        raise Refusal(
            "invalid_argument", f"cursor: got {cursor!r}; pass next_cursor of the page before, or leave it out"
        )
    return int(cursor)


def _fitting(items: list[JsonValue]) -> list[JsonValue]:
    """Return the first items that fit into an ordinary reply, at least one; the cursor goes on after them."""
    sizes = accumulate(len(json.dumps(item, ensure_ascii=False).encode()) for item in items)
    return items[: max(1, sum(size <= ITEMS_BYTES for size in sizes))]


def _runs(workspace: Workspace, start: int, limit: int) -> ReadReply:
    items, total = list_of_runs(workspace.root, start, limit)
    if limit <= DEFAULT_LIMIT:
        items = _fitting(items)
    more = str(start + len(items)) if start + len(items) < total else None
    why = "shows a run, newest first above" if items else "plans the first run from a goal spec"
    call = NextCall(tool="read_state", arguments={"run_id": "..."}, why=why)
    plan = NextCall(tool="plan_run", arguments={"spec": "..."}, why=why)
    return ReadReply(
        run_id=None,
        step=None,
        status=None,
        summary=f"{total} runs under this root." if total else "No run has been planned under this root yet.",
        next=call if items else plan,
        view="runs",
        items=items,
        next_cursor=more,
    )


def _until_changed(ledger: Ledger, wait_s: float) -> Iterator[Tick]:
    head, deadline = ledger.log.head(), time.monotonic() + wait_s
    while time.monotonic() < deadline and ledger.log.head() == head:
        state = ledger.read()
        if is_lost(ledger.run, state):
            return
        view = look_at_attempt(ledger.run, state)
        message = view.said(state.step) if state.status == "running" else f"{state.step} is {state.status}"
        yield view.tick(message)


def _following(ledger: Ledger, state: RunState, view: str, more: str | None) -> NextCall:
    """Return the call that goes on from here: with the run, or, when it is over, with the next page."""
    if state.finished and more is not None:
        page: dict[str, JsonValue] = {"run_id": state.run_id, "view": view, "cursor": more}
        return NextCall(tool="read_state", arguments=page, why="shows the next page")
    if is_lost(ledger.run, state):
        return after_loss(state)
    return next_call(state)


def _where(ledger: Ledger, state: RunState) -> str:
    if state.finished:
        return f"The run is {state.status} (last step {state.step})."
    if is_lost(ledger.run, state):
        return f"{state.step} was running, but its supervisor is gone; execute_stage records that and goes on."
    if state.status == "running":
        return f"{look_at_attempt(ledger.run, state).said(state.step)}."
    return f"{state.step} is {state.status}."
