"""Make the calls of a record once more, in its order, through the door that every caller comes through."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from stagewright import __version__
from stagewright.state.events import Approved, AttemptFinished, Decided, StepValidated
from stagewright.state.lock import is_alive
from stagewright.state.refusals import Refusal
from stagewright.state.run_state import RunState
from stagewright.tools.approve import approve, report_to_approve
from stagewright.tools.attempt_view import attempt_folder
from stagewright.tools.call import POLL_S, Caller, call_tool
from stagewright.tools.replies import ExecuteReply, Reply, Tick
from stagewright.tools.verification.fold import Recorded
from stagewright.tools.workspace import Workspace

__all__ = ["Follower", "NotFollowed"]

CALLER = Caller(client="stagewright-reproduce", version=__version__)
WAIT_S = 3600.0
END_S = 60.0
OWN_BUDGET = ("workers", "runtime")
"""Adjusted fields that the reproduction has its own values of; no result depends on them."""
MAX_RATIONALE = 4000


class NotFollowed(Exception):  # noqa: N818 - says what happened
    """The reproduction came to a state in which the record's next act is not possible; the text says why."""


class Follower:
    """Does in a fresh root what a record says.

    Parameters
    ----------
    workspace
        Of the fresh root.
    workers
        Given for the reproduction: then the record's adjustments of them are left out.
    """

    def __init__(self, workspace: Workspace, run_id: str, workers: int | None) -> None:
        self._workspace = workspace
        self._left_out = OWN_BUDGET if workers is not None else OWN_BUDGET[1:]
        self.run_id = run_id
        self.ledger = workspace.ledger(run_id)

    @property
    def state(self) -> RunState:
        """The present state of the reproduction."""
        return self.ledger.read()

    def do(self, item: Recorded) -> Iterator[Tick]:
        """Do one act of the record; yield signs of life.

        Raises
        ------
        NotFollowed
            When it is not possible, or a step that was executed does not execute here.
        """
        event = item.event
        try:
            if isinstance(event, AttemptFinished):
                yield from self._execute(item)
            elif isinstance(event, StepValidated):
                yield from self._ticks(self._workspace, "validate_stage", {})
            elif isinstance(event, Decided):
                yield from self._decide(item, event)
            elif isinstance(event, Approved):
                report = report_to_approve(self._workspace, self.run_id)
                reason = f"as recorded (entry {item.entry['seq']})"
                approve(self._workspace, self.run_id, reason, report.digest)
        except Refusal as refusal:
            what = f"entry {item.entry['seq']} of the record ({event.message}) could not be done again"
            raise NotFollowed(f"{what}: {refusal.message}") from refusal

    def end(self) -> None:
        """End what still runs in the fresh root, and wait until it has: its supervisor lives on by itself."""
        if self.state.status != "running":
            return
        stop = {"decision": "stop", "rationale": "the reproduction was ended"}
        for _ in self._ticks(self._workspace, "decide", stop):
            pass
        alive, deadline = attempt_folder(self.ledger.run, self.state) / "alive.lock", time.monotonic() + END_S
        while is_alive(alive) and time.monotonic() < deadline:
            time.sleep(POLL_S)

    def _execute(self, item: Recorded) -> Iterator[Tick]:
        # What others had tried by then is no longer under this root, but counts in the judgement of the step.
        workspace = replace(self._workspace, tried_elsewhere={**item.state.tried_before})
        while True:
            reply: Reply | None = None
            for answer in self._called(workspace, "execute_stage", {"wait_s": WAIT_S}):
                if isinstance(answer, Tick):
                    yield answer
                else:
                    reply = answer
            if reply is not None and reply.status != "running":
                break
        state = self.state
        if state.status != "executed" or state.step != item.event.step:
            blocked = reply.blocked.error if isinstance(reply, ExecuteReply) and reply.blocked is not None else ""
            raise NotFollowed(f"{item.event.step} was executed, and is {state.status} here: {blocked or 'see its log'}")

    def _decide(self, item: Recorded, event: Decided) -> Iterator[Tick]:
        adjustments = {name: value for name, value in event.adjustments.items() if name not in self._left_out}
        changed = [change for change in event.changes if change.field not in self._left_out]
        if event.decision == "adjust" and self.state.status == "planned" and not changed:
            return  # it opened a step again that was blocked there and is ready here
        rationale = f"As recorded in entry {item.entry['seq']}: {event.rationale}"
        arguments: dict[str, Any] = {"decision": event.decision, "rationale": rationale[:MAX_RATIONALE]}
        if adjustments:
            arguments["adjustments"] = adjustments
        if event.k_by_method:
            arguments["k_by_method"] = {**event.k_by_method}
        yield from self._ticks(self._workspace, "decide", arguments)

    def _ticks(self, workspace: Workspace, tool: str, arguments: Mapping[str, Any]) -> Iterator[Tick]:
        for item in self._called(workspace, tool, arguments):
            if isinstance(item, Tick):
                yield item

    def _called(self, workspace: Workspace, tool: str, arguments: Mapping[str, Any]) -> Iterator[Tick | Reply]:
        for item in call_tool(workspace, tool, {"run_id": self.run_id, **arguments}, CALLER):
            yield item
            if isinstance(item, Tick):
                time.sleep(POLL_S)
