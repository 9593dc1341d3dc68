"""Reading: every view, paged, short, and true."""

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from stagewright.tools import TOOLS, Workspace
from stagewright.tools.budget import budget_of
from stagewright.tools.replies import ReadReply

pytestmark = pytest.mark.usefixtures("look_here")

Call = Callable[..., dict[str, Any]]
VIEWS = ("summary", "runs", "logs", "metrics", "artifacts", "gates", "spec", "trials")


def size(reply: dict[str, Any]) -> int:
    """Return the larger of the two forms of a reply, in bytes."""
    text = ReadReply.model_validate(reply).text() if "items" in reply else ""
    return max(len(json.dumps(reply).encode()), len(text.encode()))


@pytest.mark.parametrize("status", ["planned", "validated", "failed", "blocked", "stopped"])
def test_every_view_of_every_status_is_short(call: Call, at: Callable[[str], str], status: str) -> None:
    """No ordinary reply is longer than 4 KB, whatever a command printed or raised."""
    run_id = at(status)
    for view in VIEWS:
        reply = call("read_state", run_id=run_id, view=view)
        assert size(reply) < 4000, f"{view}: {size(reply)}"
        assert view == "runs" or reply["run_id"] == run_id


@pytest.mark.parametrize("limit", [3, 10, 50])
def test_pages_join_to_the_whole(call: Call, at: Callable[[str], str], limit: int) -> None:
    """Following next_cursor gives every item once, in order."""
    run_id = at("validated")
    for view in ("logs", "gates", "artifacts"):
        whole = call("read_state", run_id=run_id, view=view, limit=200)
        seen: list[object] = []
        cursor = None
        while True:
            page = call(
                "read_state", run_id=run_id, view=view, limit=limit, **({} if cursor is None else {"cursor": cursor})
            )
            seen += page.get("items", [])
            cursor = page.get("next_cursor")
            if cursor is None:
                break
        assert seen[: len(whole["items"])] == whole["items"]


def test_a_cursor_beyond_the_end_is_an_empty_page(call: Call, at: Callable[[str], str]) -> None:
    """Not an error: the run may have been shorter than was thought."""
    reply = call("read_state", run_id=at("planned"), view="logs", cursor="999")
    assert reply["items"] == []
    assert "next_cursor" not in reply


def test_waiting_ends_when_something_changes(call: Call, at: Callable[[str], str]) -> None:
    """Or when the time is up."""
    run_id = at("planned")
    began = time.monotonic()
    call("read_state", run_id=run_id, wait_s=0.4)
    assert 0.4 <= time.monotonic() - began < 3
    stop = threading.Timer(0.3, lambda: call("decide", run_id=run_id, decision="stop", rationale="enough"))
    stop.start()
    began = time.monotonic()
    assert call("read_state", run_id=run_id, wait_s=30)["status"] == "stopped"
    assert time.monotonic() - began < 5
    stop.join()


def test_the_gates_of_a_stage_are_told_before_they_run(call: Call, at: Callable[[str], str]) -> None:
    """An agent can know beforehand what will be judged."""
    items = call("read_state", run_id=at("planned"), view="gates")["items"]
    assert "artifact_integrity" in {item["gate"] for item in items}
    assert all(item["purpose"] for item in items)


def test_the_worst_findings_come_first(call: Call, at: Callable[[str], str]) -> None:
    """With what was measured, the threshold and the reason."""
    items = call("read_state", run_id=at("failed"), view="gates")["items"]
    assert items[0]["severity"] in ("fail", "error")
    assert "result.json" in items[0]["subject"] + items[0]["measured"]
    assert items[0]["reason"]


def test_artifacts_and_trials_that_were_tampered_with_are_told_as_such(
    call: Call, at: Callable[[str], str], workspace: Workspace
) -> None:
    """The list of a step's files is read only while it is what the ledger sealed."""
    run_id = at("validated")
    path = next((workspace.run(run_id).path / "attempts").glob("*/outcome.json"))
    path.write_text(path.read_text().replace('"bytes": 3', '"bytes": 4'))
    for view in ("artifacts", "trials"):
        items = call("read_state", run_id=run_id, view=view)["items"]
        assert "was changed after it was sealed" in items[0]["error"]
    path.write_text("{")
    assert "was changed" in call("read_state", run_id=run_id, view="trials")["items"][0]["error"]


def test_every_fact_stands_in_the_text_too(at: Callable[[str], str], workspace: Workspace) -> None:
    """Some clients show their model the text, some the structured content."""
    run_id = at("blocked")
    for name, arguments in {"read_state": {"run_id": run_id}, "decide": stop(run_id)}.items():
        *_, reply = TOOLS[name](workspace, **arguments)
        text = reply.text()  # type: ignore[union-attr]  # the last item is the reply
        for word in words(reply.model_dump(mode="json", exclude_none=True, exclude={"next", "summary"})):
            assert word in text.replace("\n  ", " "), word


def stop(run_id: str) -> dict[str, Any]:
    """Return the arguments of a stop."""
    return {"run_id": run_id, "decision": "stop", "rationale": "enough"}


def words(value: object) -> list[str]:
    """Return every key and short text of a reply."""
    if isinstance(value, dict):
        return [word for key, inner in value.items() if inner not in ([], {}) for word in (key, *words(inner))]
    if isinstance(value, list):
        return [word for inner in value for word in words(inner)]
    return [value] if isinstance(value, str) and len(value) < 60 and "'" not in value and "\n" not in value else []


def test_what_is_left_of_the_budget(call: Call, at: Callable[[str], str], workspace: Workspace) -> None:
    """Used and left add up to the limit."""
    run_id = at("executed")
    budget = call("read_state", run_id=run_id)["budget"]
    assert budget["runtime_used_s"] + budget["runtime_left_s"] == pytest.approx(6 * 3600, abs=0.02)
    assert budget["peak_rss_bytes"] > 10_000_000
    state = workspace.ledger(run_id).read()
    assert budget_of(workspace, state).retries_left_in_step == 2
