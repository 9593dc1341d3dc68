"""Find the refused calls on a step in tool_calls.log: each belongs to the step that the run was at."""

from bisect import bisect_left
from collections.abc import Iterator

from pydantic import JsonValue

from stagewright.state.chain import Entry
from stagewright.state.events import TornTailMoved, parse_event
from stagewright.state.ledger import Ledger
from stagewright.state.transitions import advance
from stagewright.tools.why.answers import Happened

__all__ = ["refused_calls"]


def refused_calls(ledger: Ledger, step: str) -> Iterator[Happened]:
    """Yield the calls that were refused while the run was at a step, oldest first; the same again is counted."""
    places = _Places(ledger)
    pending: Happened | None = None
    times = 1
    for entry in ledger.detail("tool_calls").entries():
        refusal = entry.get("refusal")
        if not isinstance(refusal, dict) or places.step_at(entry) != step:
            continue
        found = _refused(entry, refusal)
        if pending is not None and (found.by, found.text) == (pending.by, pending.text):
            times += 1
            continue
        if pending is not None:
            yield _counted(pending, times)
        pending, times = found, 1
    if pending is not None:
        yield _counted(pending, times)


def _counted(call: Happened, times: int) -> Happened:
    return call if times == 1 else call.model_copy(update={"text": f"{call.text} ({times} times in a row)"})


def _refused(entry: Entry, refusal: dict[str, JsonValue]) -> Happened:
    client = entry.get("client")
    name = client.get("name") if isinstance(client, dict) else None
    following = refusal.get("next")
    allowed = following.get("why") if isinstance(following, dict) else None
    return Happened(
        at=str(entry.get("at")),
        what="refused",
        by=str(name or entry.get("actor")),
        word=str(refusal.get("refused")),
        text=f"{entry.get('tool')} was refused ({refusal.get('refused')}): {refusal.get('message')}",
        details=() if allowed is None else (f"allowed instead: {allowed}",),
    )


def _anchored(ledger: Ledger) -> Iterator[tuple[int, str]]:
    """Yield, for each entry, how many calls were recorded before it, and the step that the run was at after it."""
    state = None
    for entry in ledger.log.entries():
        event = parse_event(entry)
        state = advance(state, event)
        anchors = entry.get("anchors")
        anchor = anchors.get("tool_calls") if isinstance(anchors, dict) else None
        seq = anchor.get("seq") if isinstance(anchor, dict) else None
        if not isinstance(event, TornTailMoved) and isinstance(seq, int):
            yield seq, state.step


class _Places:
    """At which step the run was when a call was recorded, by the ledger's anchors in tool_calls.log."""

    def __init__(self, ledger: Ledger) -> None:
        anchored = [*_anchored(ledger)]
        self._anchors = [seq for seq, _ in anchored]
        self._steps = [step for _, step in anchored]

    def step_at(self, call: Entry) -> str | None:
        """Return the present step after the last entry that was made before the call was recorded."""
        seq = call.get("seq")
        place = bisect_left(self._anchors, seq) if isinstance(seq, int) else 0
        return self._steps[place - 1] if place else None
