"""Play a cassette: make its calls once more, one after the other, and compare every answer."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast

import psutil
from pydantic import JsonValue

from stagewright.state.ledger import Ledger
from stagewright.state.refusals import NextCall, Refusal
from stagewright.state.run_directory import RunDirectory, find_run
from stagewright.tools.approve import approve, report_to_approve
from stagewright.tools.attempt_view import attempt_folder, is_lost
from stagewright.tools.replay.cassette import ApprovedFrame, CallFrame, Cassette, KilledFrame, Person
from stagewright.tools.replay.compare import Difference, differences
from stagewright.tools.replay.export_calls import environment_of
from stagewright.tools.replay.portable import Portable, marked
from stagewright.tools.replay.recorded_children import pause_file
from stagewright.tools.replies import reply_text
from stagewright.tools.workspace import Workspace

__all__ = ["STAGES", "Answered", "Played", "Send", "Stages", "play"]

Stages = Literal["recorded", "rerun"]
STAGES: tuple[Stages, ...] = ("recorded", "rerun")

POLL_S = 0.01
ENDS_WITHIN_S = 30.0
RERUN_WITHIN_S = 6 * 3600.0
WAIT_S = 45.0


@dataclass(frozen=True, slots=True)
class Answered:
    """What came back from the server: the structured content, and the text beside it."""

    structured: dict[str, JsonValue]
    text: str
    refused: bool


Send = Callable[[str, dict[str, JsonValue], Person | None, Callable[[], None]], Answered]
"""Makes one call. The person answers the form that the client may be asked to show; the last is told of each sign of
life of the call while it waits."""


@dataclass(frozen=True, slots=True)
class Played:
    """One call of the cassette, what came of it now, and where that differs."""

    number: int
    frame: CallFrame
    answer: dict[str, JsonValue]
    refused: bool
    differences: tuple[Difference, ...]


def play(cassette: Cassette, workspace: Workspace, send: Send, stages: Stages) -> Iterator[Played]:
    """Make the calls of a cassette and yield what came of each.

    Parameters
    ----------
    workspace
        Of the fresh root, on which the server that answers works too.
    send
        The client.
    stages
        Whether the server plays the stages' outcomes back or runs the stages again.

    Raises
    ------
    Refusal
        When an approval of the record cannot be given, or a step does not end.
    """
    yield from _Player(cassette, workspace, send, stages).play()


class _Player:
    def __init__(self, cassette: Cassette, workspace: Workspace, send: Send, stages: Stages) -> None:
        self._cassette, self._send, self._stages = cassette, send, stages
        self._workspace = workspace
        self._portable = Portable(workspace.root)

    def play(self) -> Iterator[Played]:
        number = 0
        for frame in self._cassette.frames:
            match frame:
                case KilledFrame():
                    self._kill(frame)
                case ApprovedFrame():
                    self._approve(frame)
                case CallFrame():
                    number += 1
                    yield self._call(number, frame)
                case _:
                    pass

    def _call(self, number: int, frame: CallFrame) -> Played:
        for name, text in frame.files.items():
            _write(self._workspace.root / name, str(self._portable.back(text)))
        arguments = cast("dict[str, JsonValue]", self._portable.back(frame.arguments))
        runs_on = frame.answer is None or frame.answer.get("status") == "running"
        if runs_on and frame.tool in ("execute_stage", "read_state"):
            self._pause()
            arguments["wait_s"] = 0
        elif frame.tool == "read_state" and not frame.refused:
            self._go_on()
            self._until_ended(frame)
        elif frame.tool == "execute_stage" and not frame.refused:
            self._pause()  # until the call waits: it has to find the step at work that it attaches to
        answered = self._send(frame.tool, arguments, frame.person, _nothing if runs_on else self._go_on)
        while not runs_on and frame.tool == "execute_stage" and answered.structured.get("status") == "running":
            self._go_on()
            answered = self._send(frame.tool, arguments | {"wait_s": WAIT_S}, frame.person, _nothing)
        self._name_run(frame, answered)
        found = () if frame.answer is None else tuple(self._compare(frame, frame.answer, answered))
        return Played(number, frame, self._now(answered), answered.refused, found)

    def _compare(self, frame: CallFrame, recorded: Mapping[str, JsonValue], answered: Answered) -> Iterator[Difference]:
        now = self._now(answered)
        if frame.refused != answered.refused:
            yield Difference("what came back", _said(recorded, frame.refused), _said(now, answered.refused))
            return
        expected = _text_of(answered)
        if answered.text != expected:
            yield Difference("the text beside the structured content", expected, answered.text)
        yield from differences(
            marked(recorded, self._cassette.header.volatile),
            now,
            self._cassette.header.tolerance if self._stages == "rerun" else None,
            digests=self._stages == "recorded" or self._same_environment(),
            paged="view" in now,
        )

    def _now(self, answered: Answered) -> dict[str, JsonValue]:
        """Return an answer as a cassette has it."""
        facts = cast("dict[str, JsonValue]", self._portable.out(answered.structured))
        return marked(facts, self._cassette.header.volatile)

    def _pause(self) -> None:
        """Let recorded attempts wait before they end; those that really run go on."""
        pause_file(self._workspace.root).touch()

    def _go_on(self) -> None:
        pause_file(self._workspace.root).unlink(missing_ok=True)

    def _name_run(self, frame: CallFrame, answered: Answered) -> None:
        """Learn which run of this root stands for one of the cassette."""
        told = None if frame.answer is None else frame.answer.get("run_id")
        now = answered.structured.get("run_id")
        if isinstance(told, str) and isinstance(now, str) and told not in self._portable.names.values():
            self._portable.names.setdefault(now, told)

    def _run(self, placeholder: str) -> RunDirectory:
        name = str(self._portable.back(placeholder))
        return find_run(self._workspace.root, name)

    def _until_ended(self, frame: CallFrame) -> None:
        """Wait until the run that a recorded reader saw at rest is at rest here."""
        named = frame.arguments.get("run_id")
        if frame.tool != "read_state" or not isinstance(named, str) or named not in self._portable.names.values():
            return
        run = self._run(named)
        ledger = Ledger(run)
        self._wait(lambda: (state := ledger.read()).status != "running" or is_lost(run, state), named)

    def _wait(self, ended: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + (RERUN_WITHIN_S if self._stages == "rerun" else ENDS_WITHIN_S)
        while not ended():
            if time.monotonic() > deadline:
                again = NextCall(tool=None, arguments={}, why="look into the replay's root (--into keeps it)")
                raise Refusal("internal", f"a step of {what} does not end as it did in the record", next_call=again)
            time.sleep(POLL_S)

    def _kill(self, frame: KilledFrame) -> None:
        """Let the supervisor of an attempt die, as it died in the record, and its worker with it."""
        run = self._run(frame.run)
        ledger = Ledger(run)
        state = ledger.read()
        if state.status != "running" or state.attempt != frame.attempt:
            return  # the call after this one says what is different
        self._go_on()
        if self._stages == "rerun":
            _kill_processes(attempt_folder(run, state))
        self._wait(lambda: is_lost(run, ledger.read()), frame.run)

    def _approve(self, frame: ApprovedFrame) -> None:
        run = self._run(frame.run)
        person = replace(self._workspace, actor="person:replay")
        approve(person, run.run_id, frame.reason, report_to_approve(person, run.run_id).digest)

    def _same_environment(self) -> bool:
        recorded = self._cassette.header.environment
        runs = [find_run(self._workspace.root, name) for name in self._portable.names]
        return bool(recorded) and recorded == environment_of(runs)


def _nothing() -> None:
    pass


def _kill_processes(attempt: Path) -> None:
    for process in psutil.process_iter(["cmdline"]):
        if any(str(attempt) in word for word in process.info["cmdline"] or ()):
            process.kill()


def _said(facts: Mapping[str, JsonValue], refused: bool) -> str:  # noqa: FBT001 - one of two kinds of answer
    return (
        f"refused ({facts.get('refused')}): {facts.get('message')}" if refused else f"answered: {facts.get('summary')}"
    )


def _text_of(answered: Answered) -> str:
    """Return the text that belongs to structured content: a client shows its model one of the two."""
    facts = answered.structured
    if not answered.refused:
        return reply_text(facts)
    after, run_id, status = facts.get("next"), facts.get("run_id"), facts.get("status")
    lines = [f"Refused ({facts.get('refused')}): {facts.get('message')}"]
    lines += [f"Run: {run_id}"] if run_id is not None else []
    lines += [f"Status: {status}"] if status is not None else []
    lines += [f"Next: {NextCall.model_validate(after)}"] if after is not None else []
    return "\n".join(lines)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
