"""One door to the five tools: checks the arguments' names, runs the call, and records it whatever comes of it.

Every caller comes through here, the MCP server and the command line alike, so that `tool_calls.log` holds every call:
arguments, reply or refusal, who called, and how long it took. A call that names no run is recorded in the log of the
root, ``experiments/tool_calls.log``.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from stagewright.state.chain import ChainedLog, Entry
from stagewright.state.clock import stamp, utc_now
from stagewright.state.log_lock import LogHeld
from stagewright.state.refusals import LedgerCorrupt, NextCall, Refusal
from stagewright.state.run_directory import EXPERIMENTS, RunDirectory
from stagewright.state.run_state import next_call
from stagewright.tools.arguments import checked_arguments, recordable
from stagewright.tools.decide import decide
from stagewright.tools.execute_stage import execute_stage
from stagewright.tools.persons_answer import PersonsAnswer, decide_as_answered
from stagewright.tools.plan_run import plan_run, spec_as_given
from stagewright.tools.read_state import read_state
from stagewright.tools.replies import Reply, Tick
from stagewright.tools.validate_stage import validate_stage
from stagewright.tools.workspace import Workspace, damaged

__all__ = ["TOOLS", "Caller", "call_tool", "complete", "refuse_bad_arguments"]

Tool = Callable[..., Iterator[Tick | Reply]]

TOOLS: Mapping[str, Tool] = {
    "plan_run": plan_run,
    "execute_stage": execute_stage,
    "validate_stage": validate_stage,
    "decide": decide,
    "read_state": read_state,
}

POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, for the record: the client's name and version, and the protocol it speaks."""

    client: str = "python"
    version: str = ""
    protocol: str = ""


def call_tool(
    workspace: Workspace,
    name: str,
    arguments: Mapping[str, Any],
    caller: Caller,
    *,
    answer: PersonsAnswer | None = None,
) -> Iterator[Tick | Reply]:
    """Run one tool call: yield its signs of life, then its reply, and record it.

    Parameters
    ----------
    arguments
        By name, as the caller gave them. One that the tool does not have is refused.
    answer
        What a person answered who was asked after the same call of `decide` before. It goes into the record.

    Raises
    ------
    Refusal
        When the rules do not allow the call; recorded too, like a wait that the caller gives up.
    """
    record = _Record(workspace, name, dict(arguments), caller, time.monotonic(), answer)
    answered = False
    try:
        tool = _tool(name)
        checked = checked_arguments(name, tool, arguments)
        call = tool(workspace, **checked) if answer is None else decide_as_answered(workspace, answer, **checked)
        for tick in call:
            if isinstance(tick, Reply):
                record.write_reply(tick)
                answered = True
            yield tick
    except GeneratorExit:
        if not answered:  # a caller that has its reply closes the call too, and has given up nothing
            record.write_if_possible()
        raise
    except Refusal as refusal:
        raise record.refuse(refusal) from refusal
    except LedgerCorrupt as error:
        broken = damaged(_named_run(workspace, arguments), error)
        record.write_if_possible(broken)
        raise broken from error
    except LogHeld as error:
        held = Refusal("run_locked", f"{error}. Then make the same call again: nothing is done twice.")
        record.write_if_possible(held)
        raise held from error
    except OSError as error:
        full = Refusal(
            "storage",
            f"the run directory could not be read or written: {error}. Free space or mend the permissions, then make "
            "the same call again: if this one took effect before that, it is not done twice.",
        )
        record.write_if_possible(full)
        raise full from error
    except Exception as error:  # the door: what nobody foresaw is recorded too, before it is raised
        record.write_if_possible(Refusal("internal", f"a bug of the server: {type(error).__name__}: {error}"))
        raise


def refuse_bad_arguments(workspace: Workspace, name: str, arguments: Mapping[str, Any], caller: Caller) -> None:
    """Refuse, and record, a call whose tool or arguments do not exist; a call that may go on is not recorded here.

    Raises
    ------
    Refusal
        `unknown_argument` or `invalid_argument`.
    """
    try:
        checked_arguments(name, _tool(name), arguments)
    except Refusal as refusal:
        raise _Record(workspace, name, dict(arguments), caller, time.monotonic()).refuse(refusal) from refusal


def _tool(name: str) -> Tool:
    if name not in TOOLS:
        raise Refusal("invalid_argument", f"there is no tool {name!r}; the tools are {', '.join(TOOLS)}")
    return TOOLS[name]


def complete(call: Iterator[Tick | Reply], on_tick: Callable[[Tick], None] | None = None) -> Reply:
    """Wait for a call's reply on this thread, passing its signs of life to `on_tick`."""
    for tick in call:
        if isinstance(tick, Reply):
            return tick
        if on_tick is not None:
            on_tick(tick)
        time.sleep(POLL_S)
    raise RuntimeError("a tool ended without a reply")


def _named_run(workspace: Workspace, arguments: Mapping[str, Any]) -> RunDirectory | None:
    named = arguments.get("run_id")
    return workspace.run(named) if isinstance(named, str) else None


@dataclass(slots=True)
class _Record:
    """What is known of a call before it ends."""

    workspace: Workspace
    tool: str
    arguments: dict[str, Any]
    caller: Caller
    started: float
    person: PersonsAnswer | None = None

    def write(self, *, reply: Reply | None = None, refusal: Refusal | None = None) -> None:
        """Append the call to the log of its run, or of the root."""
        answer: Entry = {}
        if reply is not None:
            answer = {"reply": reply.model_dump(mode="json", exclude_none=True)}
        if refusal is not None:
            answer = {"refusal": refusal.facts()}
        outcome = f"refused ({refusal.code})" if refusal else "answered" if reply else "given up by the caller"
        fields: Entry = {
            "step": None if reply is None else reply.step,
            "event": "tool_call",
            "message": f"{self.tool} {outcome} for {self.caller.client or 'unknown client'}",
            "tool": self.tool,
            "arguments": recordable(self.arguments),
            **({} if self.person is None else {"person": asdict(self.person)}),
            "client": {"name": self.caller.client, "version": self.caller.version, "protocol": self.caller.protocol},
            "actor": self.workspace.actor,
            "elapsed_s": round(time.monotonic() - self.started, 4),
        }
        if self.tool == "plan_run" and (reply is None or reply.run_id is None):  # else the run keeps it
            text = spec_as_given(self.workspace, self.arguments.get("spec"))
            fields |= {} if text is None else {"spec_text": text}
        self._log(reply).append(stamp(utc_now()), fields | answer)

    def write_reply(self, reply: Reply) -> None:
        """Record an answered call. Reading goes on when the disk is full; what changes a run has to be recorded."""
        try:
            self.write(reply=reply)
        except OSError:
            if self.tool != "read_state":
                raise

    def refuse(self, refusal: Refusal) -> Refusal:
        """Record a refusal and return it with the run's status and next call, where it says none and there is a run."""
        complete = refusal
        named = self.arguments.get("run_id")
        if self.tool == "plan_run" and refusal.next_call is None:
            spec = self.arguments.get("spec")
            short = spec if isinstance(spec, str) and "\n" not in spec else "..."
            again = NextCall(tool="plan_run", arguments={"spec": short}, why="once what is named above is mended")
            complete = Refusal(refusal.code, refusal.message, next_call=again)
        if isinstance(named, str) and (refusal.next_call is None or refusal.status is None):
            with suppress(Refusal, LedgerCorrupt, OSError):
                state = self.workspace.ledger(named).read()
                complete = Refusal(
                    refusal.code,
                    refusal.message,
                    status=refusal.status or f"{state.status} at {state.step}",
                    run_id=state.run_id,
                    next_call=refusal.next_call or next_call(state),
                )
        self.write_if_possible(complete)
        return complete

    def write_if_possible(self, refusal: Refusal | None = None) -> None:
        """Record a call without a reply; the caller is told all the same when the log does not take it."""
        with suppress(OSError, LedgerCorrupt):
            self.write(refusal=refusal)

    def _log(self, reply: Reply | None) -> ChainedLog:
        # As it was named first: a person may name a run by its directory, which lies under another root.
        for named in (self.arguments.get("run_id"), None if reply is None else reply.run_id):
            if isinstance(named, str):
                with suppress(Refusal):
                    return self.workspace.ledger(named).detail("tool_calls")
        folder = self.workspace.root / EXPERIMENTS
        folder.mkdir(parents=True, exist_ok=True)
        return ChainedLog(folder / "tool_calls.log", head_file=True)
